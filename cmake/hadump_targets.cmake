# SPDX-License-Identifier: GPL-2.0-or-later
# Warnings and sanitizers as targets: what links them gets them, nothing else does.
set(HADUMP_SANITIZE "" CACHE STRING "Sanitizers for every target, as for -fsanitize=; empty for none")
option(HADUMP_FUZZ "Build the libFuzzer programs (clang only)" OFF)

add_library(hadump_warnings INTERFACE)
target_compile_options(hadump_warnings INTERFACE
  -Wall -Wextra -Wshadow -Werror
  $<$<COMPILE_LANGUAGE:CXX>:-Wconversion>)

add_library(hadump_sanitize INTERFACE)
if(HADUMP_SANITIZE)
  # The product is what is looked at: GoogleTest's macros with UBSan in them compile a quarter longer.
  target_compile_options(hadump_sanitize INTERFACE
    -fsanitize=${HADUMP_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all
    $<$<BOOL:$<TARGET_PROPERTY:HADUMP_IS_TEST>>:-fno-sanitize=undefined>)
  target_link_options(hadump_sanitize INTERFACE -fsanitize=${HADUMP_SANITIZE})
endif()

# For directories in which sanitized tests spend their time.
macro(hadump_optimise_sanitized)
  if(HADUMP_SANITIZE AND CMAKE_BUILD_TYPE STREQUAL "Debug")
    add_compile_options(-O1)
  endif()
endmacro()

# Links a sanitized test program in a third of the time. What is installed is linked as everywhere.
find_program(HADUMP_MOLD mold)
if(HADUMP_MOLD AND HADUMP_SANITIZE AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_link_options(hadump_sanitize INTERFACE -fuse-ld=mold)
endif()

# What every C++ target of ours links: the language level, the warnings, the include root.
add_library(hadump_cxx INTERFACE)
target_compile_features(hadump_cxx INTERFACE cxx_std_20)
target_include_directories(hadump_cxx INTERFACE "${PROJECT_SOURCE_DIR}")
target_link_libraries(hadump_cxx INTERFACE hadump_warnings hadump_sanitize)

# Records a part that cannot be built on this machine; the top level prints the list.
function(hadump_skip_part name reason)
  set_property(GLOBAL APPEND PROPERTY HADUMP_SKIPPED_PARTS "${name}: ${reason}")
endfunction()

# hadump_add_test(NAME LABEL label SHARDS n TIMEOUT s SOURCES … LIBS …): a GoogleTest program as one
# CTest entry, or as NAME_1 to NAME_n, which have a part of its tests each: for one that takes so long
# that other processors would wait for it.
function(hadump_add_test name)
  cmake_parse_arguments(arg "" "LABEL;TIMEOUT;SHARDS" "SOURCES;LIBS" ${ARGN})
  if(NOT arg_LABEL)
    set(arg_LABEL unit)
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()
  add_executable(${name} ${arg_SOURCES})
  if(TARGET hadump_sanitizer_options)
    target_sources(${name} PRIVATE $<TARGET_OBJECTS:hadump_sanitizer_options>)
  endif()
  target_link_libraries(${name} PRIVATE hadump_cxx ${arg_LIBS} GTest::gmock GTest::gtest_main)
  set_target_properties(${name} PROPERTIES HADUMP_IS_TEST TRUE)
  if(NOT arg_SHARDS)
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES LABELS "${arg_LABEL}" TIMEOUT ${arg_TIMEOUT})
    return()
  endif()
  foreach(shard RANGE 1 ${arg_SHARDS})
    math(EXPR index "${shard} - 1")
    add_test(NAME ${name}_${shard} COMMAND ${name})
    # CTest begins with what costs most.
    set_tests_properties(${name}_${shard} PROPERTIES
      LABELS "${arg_LABEL}" TIMEOUT ${arg_TIMEOUT} COST 60
      ENVIRONMENT "GTEST_TOTAL_SHARDS=${arg_SHARDS};GTEST_SHARD_INDEX=${index}")
  endforeach()
endfunction()

# hadump_install_config(FILE): FILE into /etc/hadump of the default component. One that is there and
# differs is the administrator's: it stays, and the new one is put beside it as NAME.new.
function(hadump_install_config file)
  set(source "${CMAKE_CURRENT_SOURCE_DIR}/${file}")
  set(directory "${CMAKE_INSTALL_FULL_SYSCONFDIR}/hadump")
  string(CONFIGURE [[
    set(kept "$ENV{DESTDIR}@directory@/@file@")
    set(name "@file@")
    if(EXISTS "${kept}")
      file(SHA256 "${kept}" kept_hash)
      file(SHA256 "@source@" new_hash)
      if(NOT kept_hash STREQUAL new_hash)
        message(STATUS "kept: ${kept}; what is new is in ${kept}.new")
        set(name "@file@.new")
      endif()
    endif()
    file(INSTALL "@source@" DESTINATION "@directory@" TYPE FILE RENAME "${name}")
]] code @ONLY)
  install(CODE "${code}")
endfunction()
