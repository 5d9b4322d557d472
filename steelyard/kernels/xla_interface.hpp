// The part of XLA's foreign function interface that a handler on the CPU needs, as XLA's runtime lays it out in memory.
//
// XLA promises that layout (major version 0; members are only ever added at the end, and each structure begins with its
// size), and ships a header for it inside jaxlib. It is written down here instead of included, because a package index
// builds without jaxlib and a build must not need its hundred megabytes. `tests/kernels/test_xla_interface.py` compiles
// both against each other and compares every offset that is used.

#pragma once

#include <stddef.h>
#include <stdint.h>

namespace steelyard {
namespace xla {

constexpr int32_t MAJOR = 0, MINOR = 1;

enum Type : int32_t { INT32 = 4, INT64 = 5, FLOAT16 = 10, FLOAT32 = 11, FLOAT64 = 12, BFLOAT16 = 16 };
enum Stage : int32_t { EXECUTE = 3 };
enum Code : int32_t { INVALID_ARGUMENT = 3, RESOURCE_EXHAUSTED = 8 };
enum Attribute : int32_t { SCALAR = 3, STRING = 4 };
constexpr int32_t METADATA = 1;

struct Extension {
  size_t size;
  int32_t type;
  Extension* next;
};

struct Version {
  size_t size;
  Extension* extension;
  int32_t major, minor;
};

struct Metadata {
  size_t size;
  Version version;
  uint32_t traits;
};

struct MetadataExtension {
  Extension base;
  Metadata* metadata;
};

struct Error;
struct ErrorArguments {
  size_t size;
  Extension* extension;
  const char* message;
  int32_t code;
};

struct Api {
  size_t size;
  Extension* extension;
  Version version;
  const void* internal;
  Error* (*create_error)(ErrorArguments*);
};

struct Buffer {
  size_t size;
  Extension* extension;
  int32_t type;
  void* data;
  int64_t rank;
  int64_t* dims;
};

struct Span {
  const char* begin;
  size_t size;
};

struct Scalar {
  int32_t type;
  void* value;
};

struct Buffers {  // arguments, and results
  size_t size;
  Extension* extension;
  int64_t count;
  int32_t* kinds;
  void** each;
};

struct Attributes {
  size_t size;
  Extension* extension;
  int64_t count;
  int32_t* kinds;
  Span** names;
  void** each;
};

struct Frame {
  size_t size;
  Extension* extension;
  const Api* api;
  void* context;
  int32_t stage;
  Buffers arguments;
  Buffers results;
  Attributes attributes;
};

}  // namespace xla
}  // namespace steelyard
