# Given to llama.cpp's build as CMAKE_PROJECT_llama.cpp_INCLUDE: of all its tools only llama-server is built (and what
# that needs), which saves the time of building them. Its own options leave no tool out.
function(only_the_server)
  get_property(folders DIRECTORY "${CMAKE_SOURCE_DIR}/tools" PROPERTY SUBDIRECTORIES)
  foreach(folder IN LISTS folders)
    if(NOT folder MATCHES "/server$")
      set_property(DIRECTORY "${folder}" PROPERTY EXCLUDE_FROM_ALL ON)
    endif()
  endforeach()
endfunction()

cmake_language(DEFER CALL only_the_server)
