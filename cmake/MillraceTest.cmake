# millrace_test(NAME engine_text_tests SOURCES a_test.cpp ... LIBS millrace_engine_text ... [LABELS cluster] [TIMEOUT 120])
# A GoogleTest program whose cases CTest lists one by one. "tests/paths.h" defines MILLRACE_SOURCE_DIR.
include(GoogleTest)
find_package(GTest REQUIRED)

# Tests spend their time in the libraries: what is saved by optimising them less is saved at each build.
set(MILLRACE_TEST_OPTIONS -O1)

if(MILLRACE_PRECOMPILE)
  millrace_precompiled_headers(millrace_test_headers ${MILLRACE_COMMON_HEADERS} <gmock/gmock.h> <gtest/gtest.h>)
  target_link_libraries(millrace_test_headers PRIVATE GTest::gmock GTest::gtest)
  # As programs are compiled, not libraries.
  set_target_properties(millrace_test_headers PROPERTIES POSITION_INDEPENDENT_CODE OFF)
  target_compile_options(millrace_test_headers PRIVATE -fPIE ${MILLRACE_TEST_OPTIONS})
endif()

# What every program of tests is compiled and linked with.
function(millrace_test_program name)
  target_link_libraries(${name} PRIVATE GTest::gmock GTest::gtest GTest::gtest_main)
  target_compile_options(${name} PRIVATE ${MILLRACE_TEST_OPTIONS})
  if(MILLRACE_PRECOMPILE)
    target_precompile_headers(${name} REUSE_FROM millrace_test_headers)
  endif()
  millrace_batch(${name})
endfunction()

function(millrace_test)
  cmake_parse_arguments(T "" "NAME;TIMEOUT" "SOURCES;LIBS;LABELS" ${ARGN})
  if(NOT T_TIMEOUT)
    set(T_TIMEOUT 120)
  endif()
  add_executable(${T_NAME} ${T_SOURCES})
  target_link_libraries(${T_NAME} PRIVATE ${T_LIBS})
  millrace_test_program(${T_NAME})
  set(properties TIMEOUT ${T_TIMEOUT})
  if(T_LABELS)
    list(APPEND properties LABELS "${T_LABELS}")
  endif()
  gtest_discover_tests(${T_NAME} DISCOVERY_TIMEOUT 60 PROPERTIES ${properties})
endfunction()
