// The fused cross-entropies for XLA: one handler, which `steelyard/kernels/in_jax.py` calls.
//
// Arguments: logits, targets, and then those parameters whose bit of `present` is set, in the order of `Bit`. Results:
// (4,) sums, then the rows' losses and the gradient as `wanted` asks. Whatever stands before the axes of one call is a
// batch of calls, as jax.vmap makes it; an argument that has 1 there is the same for all of them.

#include "xla.hpp"

#include <string.h>

#include <string>
#include <vector>

#include "softmax.hpp"
#include "xla_interface.hpp"

namespace {

using namespace steelyard::xla;

enum Bit {
  SAMPLE_WEIGHT, CLASS_WEIGHT, SCALE, OFFSET, MARGIN, SMOOTHING, GAMMA, POLY, DENOMINATOR, POS_WEIGHT, GAMMA_POS,
  GAMMA_NEG, OUTCOME, BITS
};
enum Wanted { ROWS = 1, GRADIENT = 2 };

Error* failed(const Frame& frame, const std::string& message, Code code = INVALID_ARGUMENT) {
  ErrorArguments arguments{sizeof(ErrorArguments), nullptr, message.c_str(), code};
  return frame.api->create_error(&arguments);
}

const void* attribute(const Frame& frame, const char* name, Attribute kind) {
  for (int64_t i = 0; i < frame.attributes.count; ++i) {
    const Span& found = *frame.attributes.names[i];
    if (found.size == strlen(name) && memcmp(found.begin, name, found.size) == 0)
      return frame.attributes.kinds[i] == kind ? frame.attributes.each[i] : nullptr;
  }
  return nullptr;
}

bool integer(const Frame& frame, const char* name, int64_t& out) {
  const Scalar* found = static_cast<const Scalar*>(attribute(frame, name, SCALAR));
  if (!found || found->type != INT64) return false;
  memcpy(&out, found->value, sizeof out);
  return true;
}

// One argument or result: where it is for each call of the batch.
struct Walk {
  char* data = nullptr;
  std::vector<int64_t> steps;  // bytes from one call to the next, per batch axis

  const void* at(const std::vector<int64_t>& index) const {
    int64_t away = 0;
    for (size_t d = 0; d < index.size(); ++d) away += index[d] * steps[d];
    return data + away;
  }
};

int64_t bytes_of(int32_t type) {
  return type == FLOAT64 || type == INT64 ? 8 : type == FLOAT32 || type == INT32 ? 4 : 2;
}

// False where the axes are not the batch's, followed by `core` of which the last are `last` numbers.
bool walk(const Buffer& b, const std::vector<int64_t>& batch, const std::vector<int64_t>& core, Walk& out) {
  const size_t axes = batch.size();
  if (b.rank != static_cast<int64_t>(axes + core.size())) return false;
  int64_t step = bytes_of(b.type);
  for (size_t d = core.size(); d-- > 0;) {
    if (b.dims[axes + d] != core[d]) return false;
    step *= core[d];
  }
  out.data = static_cast<char*>(b.data);
  out.steps.assign(axes, 0);
  for (size_t d = axes; d-- > 0;) {
    if (b.dims[d] != 1 && b.dims[d] != batch[d]) return false;
    out.steps[d] = b.dims[d] == 1 ? 0 : step;
    step *= b.dims[d];
  }
  return true;
}

struct Request {
  int64_t present, wanted, core, sigmoid, divide, has_ignore, ignore_index, threads;
};

bool read(const Frame& frame, Request& r) {
  return integer(frame, "present", r.present) && integer(frame, "wanted", r.wanted) && integer(frame, "core", r.core) &&
         integer(frame, "sigmoid", r.sigmoid) && integer(frame, "divide", r.divide) &&
         integer(frame, "has_ignore", r.has_ignore) && integer(frame, "ignore_index", r.ignore_index) &&
         integer(frame, "threads", r.threads);
}

template <class T>
double number(const void* at) {
  return static_cast<double>(*static_cast<const T*>(at));
}

Error* run(const Frame& frame) {
  Request r{};
  const Span* set = static_cast<const Span*>(attribute(frame, "instructions", STRING));
  if (!read(frame, r) || !set) return failed(frame, "steelyard: attributes of another version");
  const std::string instructions(set->begin, set->size);

  const int64_t results = 1 + (r.wanted & ROWS ? 1 : 0) + (r.wanted & GRADIENT ? 1 : 0);
  int64_t arguments = 2;
  for (int i = 0; i < BITS; ++i) arguments += r.present >> i & 1;
  if (frame.arguments.count != arguments || frame.results.count != results)
    return failed(frame, "steelyard: another number of buffers than the attributes say");
  const auto argument = [&](int64_t i) -> const Buffer& { return *static_cast<Buffer*>(frame.arguments.each[i]); };
  const auto result = [&](int64_t i) -> const Buffer& { return *static_cast<Buffer*>(frame.results.each[i]); };

  const Buffer& logits = argument(0);
  const Buffer& target = argument(1);
  if ((r.core != 2 && r.core != 3) || logits.rank < r.core) return failed(frame, "steelyard: logits of too few axes");
  const int64_t axes = logits.rank - r.core;
  const bool wide = logits.type == FLOAT64;
  const bool dense = target.type != INT32 && target.type != INT64;

  SteelyardCall call{};
  call.size = static_cast<int32_t>(sizeof call);
  call.dtype = wide ? STEELYARD_FLOAT64
                    : logits.type == FLOAT32 ? STEELYARD_FLOAT32
                                             : logits.type == BFLOAT16 ? STEELYARD_BFLOAT16 : STEELYARD_FLOAT16;
  call.batch = logits.dims[axes];
  call.classes = logits.dims[axes + 1];
  call.positions = r.core == 3 ? logits.dims[axes + 2] : 1;
  call.stride_batch = call.gradient_batch = call.classes * call.positions;
  call.stride_class = call.gradient_class = call.positions;
  call.stride_position = call.gradient_position = 1;
  call.target_kind = dense ? STEELYARD_DENSE : target.type == INT64 ? STEELYARD_INT64 : STEELYARD_INT32;
  call.has_ignore = static_cast<int32_t>(r.has_ignore);
  call.ignore_index = r.ignore_index;
  call.divide = static_cast<int32_t>(r.divide);
  call.threads = static_cast<int32_t>(r.threads);
  call.factor = 1.0;

  // the batch of calls: the sums are there once for each
  const Buffer& sums = result(0);
  if (sums.rank != axes + 1) return failed(frame, "steelyard: sums of another number of axes");
  const std::vector<int64_t> batch(sums.dims, sums.dims + axes);
  const std::vector<int64_t> elements = r.core == 3 ? std::vector<int64_t>{call.batch, call.classes, call.positions}
                                                    : std::vector<int64_t>{call.batch, call.classes};
  const std::vector<int64_t> rows = r.sigmoid ? elements
                                    : r.core == 3 ? std::vector<int64_t>{call.batch, call.positions}
                                                  : std::vector<int64_t>{call.batch};
  const std::vector<int64_t> classes{call.classes}, scalar{}, outcome{2, 2}, four{4};

  Walk z, y, total, losses, gradient, given[BITS];
  bool fits = walk(logits, batch, elements, z) && walk(target, batch, dense ? elements : rows, y) &&
              walk(sums, batch, four, total) && (!dense || target.type == logits.type);
  const int32_t numbers = wide ? FLOAT64 : FLOAT32;
  int64_t next = 2;
  for (int i = 0; i < BITS; ++i) {
    if (!(r.present >> i & 1)) continue;
    const Buffer& b = argument(next++);
    const bool is_scalar = i == GAMMA || i == POLY || i == DENOMINATOR || i == GAMMA_POS || i == GAMMA_NEG;
    const auto& core = i == SAMPLE_WEIGHT ? rows : is_scalar ? scalar : i == OUTCOME ? outcome : classes;
    fits = fits && b.type == numbers && walk(b, batch, core, given[i]);
  }
  next = 1;
  if (r.wanted & ROWS) {
    const Buffer& b = result(next++);
    fits = fits && b.type == numbers && walk(b, batch, rows, losses);
  }
  if (r.wanted & GRADIENT) {
    const Buffer& b = result(next++);
    fits = fits && b.type == logits.type && walk(b, batch, elements, gradient);
  }
  if (!fits || sums.type != numbers) return failed(frame, "steelyard: shapes or dtypes that do not fit together");

  int64_t calls = 1;
  for (int64_t n : batch) calls *= n;
  std::vector<int64_t> index(batch.size(), 0);
  double outcomes[4];
  for (int64_t i = 0; i < calls; ++i) {
    SteelyardCall c = call;
    c.logits = z.at(index);
    c.target = y.at(index);
    const auto table = [&](Bit bit) { return given[bit].data ? given[bit].at(index) : nullptr; };
    const auto scalar_of = [&](Bit bit) {
      const void* at = table(bit);
      return at == nullptr ? 0.0 : wide ? number<double>(at) : number<float>(at);
    };
    c.sample_weight = table(SAMPLE_WEIGHT);
    c.class_weight = table(CLASS_WEIGHT);
    c.scale = table(SCALE);
    c.offset = table(OFFSET);
    c.margin = table(MARGIN);
    c.smoothing = table(SMOOTHING);
    c.pos_weight = table(POS_WEIGHT);
    c.gamma = scalar_of(GAMMA);
    c.poly = scalar_of(POLY);
    c.gamma_pos = scalar_of(GAMMA_POS);
    c.gamma_neg = scalar_of(GAMMA_NEG);
    c.denominator = scalar_of(DENOMINATOR);
    if (const void* at = table(OUTCOME)) {
      for (int k = 0; k < 4; ++k)
        outcomes[k] = wide ? static_cast<const double*>(at)[k] : static_cast<double>(static_cast<const float*>(at)[k]);
      c.outcome = outcomes;
    }
    if (losses.data) c.loss = const_cast<void*>(losses.at(index));
    if (gradient.data) c.gradient = const_cast<void*>(gradient.at(index));
    const int status = r.sigmoid ? steelyard_sigmoid(&c, instructions.c_str()) : steelyard_softmax(&c, instructions.c_str());
    if (status == STEELYARD_BAD_TARGET)
      return failed(frame, "Expected targets in [0, " + std::to_string(call.classes - 1) + "]; got another at row " +
                               std::to_string(c.bad_row) + ". Hint: rows that should not count: ignore_index.");
    if (status == STEELYARD_BAD_WEIGHT)
      return failed(frame, "Expected `sample_weight` >= 0; got another at row " + std::to_string(c.bad_row) + ".");
    if (status == STEELYARD_NO_MEMORY) return failed(frame, "steelyard: no memory", RESOURCE_EXHAUSTED);
    if (status != STEELYARD_DONE) return failed(frame, "steelyard: a call that the kernel does not know");
    const double found[4] = {c.sum_loss, c.sum_weight, c.sum_sample_weight, static_cast<double>(c.rows)};
    void* const at = const_cast<void*>(total.at(index));
    for (int k = 0; k < 4; ++k) {
      if (wide)
        static_cast<double*>(at)[k] = found[k];
      else
        static_cast<float*>(at)[k] = static_cast<float>(found[k]);
    }
    for (size_t d = index.size(); d-- > 0;) {
      if (++index[d] < batch[d]) break;
      index[d] = 0;
    }
  }
  return nullptr;
}

}  // namespace

extern "C" void* steelyard_xla(void* given) {
  const Frame& frame = *static_cast<const Frame*>(given);
  for (Extension* e = frame.extension; e != nullptr; e = e->next) {
    if (e->type != METADATA) continue;
    // asked what this handler was made for
    Metadata& m = *reinterpret_cast<MetadataExtension*>(e)->metadata;
    m.version.size = sizeof m.version;
    m.version.extension = nullptr;
    m.version.major = MAJOR;
    m.version.minor = MINOR;
    m.traits = 0;
    return nullptr;
  }
  if (frame.api->version.major != MAJOR) return failed(frame, "steelyard: another version of XLA's interface");
  if (frame.stage != EXECUTE) return nullptr;
  try {
    return run(frame);
  } catch (const std::bad_alloc&) {
    return failed(frame, "steelyard: no memory", RESOURCE_EXHAUSTED);
  }
}
