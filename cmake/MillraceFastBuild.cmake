# millrace_fast_build(TARGET ...)  for libraries that have all their sources; millrace_test() does it for its programs. Others
# take millrace_batch() alone: programs are compiled otherwise than the headers of libraries.
include(MillracePrecompile)
include(MillraceBatch)

function(millrace_fast_build)
  millrace_precompile(${ARGN})
  millrace_batch(${ARGN})
endfunction()
