# Source files compiled several at a time: what they include is read and instantiated once for all of them, which is most of
# what a file costs. CMake's own unity build names its files by absolute paths, so that no clone finds in ccache what another
# has compiled; these name them from the root of the tree.
#
# millrace_batch(TARGET ...)  once the target has all its sources. Files are taken together as they are listed, as long as
# they lie in one folder. A file with options of its own, or with the property SKIP_UNITY_BUILD_INCLUSION, stays alone.
#
# So what a file keeps to itself, in an unnamed namespace, still needs a name that its neighbours do not use.
option(MILLRACE_BATCH "Compile source files several at a time" ON)
set(MILLRACE_BATCH_SIZE 8)

function(millrace_batch)
  if(NOT MILLRACE_BATCH)
    return()
  endif()
  foreach(target IN LISTS ARGN)
    get_target_property(sources ${target} SOURCES)
    set(batches 0)
    set(batch "")
    set(last_folder "")
    foreach(source IN LISTS sources)
      get_source_file_property(options ${source} COMPILE_OPTIONS)
      get_source_file_property(alone ${source} SKIP_UNITY_BUILD_INCLUSION)
      if(options OR alone)
        continue()
      endif()
      get_filename_component(path ${source} ABSOLUTE)
      get_filename_component(folder ${path} DIRECTORY)
      list(LENGTH batch length)
      if(length EQUAL MILLRACE_BATCH_SIZE OR (length GREATER 0 AND NOT folder STREQUAL last_folder))
        millrace_add_batch(${target} ${batches} ${batch})
        math(EXPR batches "${batches} + 1")
        set(batch "")
      endif()
      list(APPEND batch ${path})
      set(last_folder ${folder})
    endforeach()
    if(batch)
      millrace_add_batch(${target} ${batches} ${batch})
    endif()
  endforeach()
endfunction()

# millrace_add_batch(TARGET NUMBER FILE ...)
function(millrace_add_batch target number)
  set(text "")
  foreach(path IN LISTS ARGN)
    file(RELATIVE_PATH relative ${PROJECT_SOURCE_DIR} ${path})
    string(APPEND text "#include \"${relative}\"\n")
  endforeach()
  set(file ${CMAKE_CURRENT_BINARY_DIR}/batches/${target}_${number}.cpp)
  file(CONFIGURE OUTPUT ${file} CONTENT "${text}" @ONLY)
  # A warning of headers that use what is in unnamed namespaces: here they are none.
  set_source_files_properties(${file} PROPERTIES COMPILE_OPTIONS -Wno-subobject-linkage)
  set_source_files_properties(${ARGN} PROPERTIES HEADER_FILE_ONLY ON)
  target_sources(${target} PRIVATE ${file})
endfunction()
