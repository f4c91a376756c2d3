# millrace_fast_build(TARGET ...)  for libraries and programs that have all their sources; millrace_test() does it for its own.
include(MillracePrecompile)
include(MillraceBatch)

function(millrace_fast_build)
  millrace_precompile(${ARGN})
  millrace_batch(${ARGN})
endfunction()
