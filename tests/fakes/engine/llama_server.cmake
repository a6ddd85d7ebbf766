# Given to llama.cpp's build as CMAKE_PROJECT_llama.cpp_INCLUDE.

# Of all its tools only llama-server is built (and what that needs), which saves the time of building them. Its own
# options leave no tool out.
function(only_the_server)
  get_property(folders DIRECTORY "${CMAKE_SOURCE_DIR}/tools" PROPERTY SUBDIRECTORIES)
  foreach(folder IN LISTS folders)
    if(NOT folder MATCHES "/server$")
      set_property(DIRECTORY "${folder}" PROPERTY EXCLUDE_FROM_ALL ON)
    endif()
  endforeach()
endfunction()

cmake_language(DEFER CALL only_the_server)

# On processors with AMX what GCC 12 makes of its Q8_0 kernels ends with an illegal instruction: the shapes of the tiles
# are optimized away (github.com/ggml-org/llama.cpp/pull/26954).
include(CheckCXXCompilerFlag)
check_cxx_compiler_flag(-mno-amx-tile KNOWS_AMX)
if(KNOWS_AMX)
  add_compile_options(-mno-amx-tile -mno-amx-int8 -mno-amx-bf16)
endif()
