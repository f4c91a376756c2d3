// How jemalloc, which the operator is linked with, is set up. It reads this name as the process starts, before main().
// What a burst of work leaves behind goes back to the system within seconds, on a thread of jemalloc's own. One arena,
// and little kept by each of some forty threads: more of them leave more holes. See
// docs/decisions/0009-jemalloc-in-the-operator.md.
extern "C" {
extern const char* malloc_conf;
const char* malloc_conf =
    "narenas:1,background_thread:true,dirty_decay_ms:2000,muzzy_decay_ms:0,tcache_max:512,"
    "lg_tcache_nslots_mul:-2";
}
