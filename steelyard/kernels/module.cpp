// The door from Python: checks shapes, chooses the instruction set, lets other threads run.

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "instruction_sets.hpp"
#include "mlp.hpp"
#include "plan.hpp"
#include "xla.hpp"

namespace nb = nanobind;
using namespace nb::literals;
using steelyard::Loss;
using steelyard::Task;

template <class T, long... Shape>
using Of = nb::ndarray<T, nb::numpy, nb::shape<Shape...>, nb::c_contig, nb::device::cpu>;

namespace {

std::vector<std::string> instruction_sets() {
  std::vector<std::string> out;
  int count = 0;
  const steelyard::InstructionSet* found = steelyard::instruction_sets(&count);
  for (int i = 0; i < count; ++i)
    if (found[i].runs_here) out.emplace_back(found[i].name);
  return out;
}

void check(bool right, const char* message) {
  if (!right) throw std::invalid_argument(message);
}

using Matrices = std::optional<Of<const float, 2, -1, -1>>;

const float* matrix(const Matrices& both, int which, long classes) {
  if (!both) return nullptr;
  check(static_cast<long>(both->shape(1)) == classes && static_cast<long>(both->shape(2)) == classes,
        "matrices of (2, classes, classes)");
  return both->data() + which * classes * classes;
}

void check_rows(const Of<const float, -1, -1>& X, const Of<const int, -1>& y, long features, long classes) {
  check(static_cast<long>(X.shape(1)) == features, "as many columns as the first layer has inputs");
  check(X.shape(0) == y.shape(0), "a label for each row");
  for (size_t i = 0; i < y.shape(0); ++i) check(y.data()[i] >= 0 && y.data()[i] < classes, "labels below n_classes");
}

// Returns (epochs, ended), or None if it was given up; `parameters` is changed in place.
std::optional<std::pair<long, bool>> train(
    const std::string& instructions, Of<const float, -1, -1> X, Of<const int, -1> y, Of<const int, -1, -1> stream,
    std::vector<long> sizes, Of<float, -1> parameters, Of<const float, 2, -1> numbers, Matrices pairwise,
    Matrices cost, bool changes, long defer, bool cosine, double rate, double decay, Of<const int, 1> stop,
    std::optional<Of<const float, -1, -1>> held_X, std::optional<Of<const int, -1>> held_y,
    std::optional<Of<const float, -1>> held_weight, long every, long patience, std::optional<Of<float, -1>> gradient) {
  check(sizes.size() >= 2, "at least one layer");
  const long classes = sizes.back(), layers = static_cast<long>(sizes.size()) - 1;
  check(classes >= 2, "at least two classes");
  long total = 0;
  for (long i = 0; i < layers; ++i) {
    check(sizes[i] >= 1, "layers of at least one unit");
    total += (sizes[i] + 1) * sizes[i + 1];
  }
  check(static_cast<long>(parameters.size()) == total, "parameters of the sizes of the layers");
  check(!gradient || gradient->size() == parameters.size(), "a gradient as large as the parameters");
  check(static_cast<long>(numbers.shape(1)) == 4 * classes + 3, "numbers of 4 per class and 3");
  check_rows(X, y, sizes[0], classes);
  const long n = static_cast<long>(X.shape(0));
  check(stream.shape(1) >= 1 && (stream.shape(0) >= 1 || !gradient), "batches of at least one row");
  for (size_t i = 0; i < stream.size(); ++i) check(stream.data()[i] >= 0 && stream.data()[i] < n, "rows of the table");

  Task task{};
  task.train = {X.data(), y.data(), nullptr, n};
  task.stream = stream.data();
  task.steps = static_cast<long>(stream.shape(0));
  task.batch = static_cast<long>(stream.shape(1));
  task.sizes = sizes.data();
  task.layers = layers;
  task.parameters = parameters.data();
  task.gradient = gradient ? gradient->data() : nullptr;
  for (int i = 0; i < 2; ++i) {
    const float* at = numbers.data() + i * numbers.shape(1);
    task.loss[i] = {at,
                    at + classes,
                    at + 2 * classes,
                    at + 3 * classes,
                    matrix(pairwise, i, classes),
                    matrix(cost, i, classes),
                    at[4 * classes],
                    at[4 * classes + 1],
                    at[4 * classes + 2]};
  }
  task.changes = changes;
  task.defer = defer;
  task.cosine = cosine;
  task.rate = rate;
  task.decay = decay;
  task.stop = stop.data();
  if (held_X) {
    check(held_y && held_weight && held_weight->shape(0) == held_y->shape(0), "labels and weights of held-out rows");
    check(every >= 1 && patience >= 1, "epochs of at least one step, patience of at least one epoch");
    check_rows(*held_X, *held_y, sizes[0], classes);
    task.held = {held_X->data(), held_y->data(), held_weight->data(), static_cast<long>(held_X->shape(0))};
    check(task.held.n >= 1, "held-out rows");
    task.every = every;
    task.patience = patience;
  }
  if (const steelyard::InstructionSet* set = steelyard::instruction_set(instructions.c_str())) {
    bool done = false;
    {
      nb::gil_scoped_release others;
      done = set->train(task);
    }
    if (!done && *task.stop == 0) throw std::bad_alloc();
    if (!done) return std::nullopt;
    return std::make_pair(task.epochs, task.ended);
  }
  throw std::invalid_argument("an instruction set that this processor has");
}

}  // namespace

NB_MODULE(_native, m) {
  m.attr("INTERFACE") = 2;  // what `kernels/__init__.py` expects
  m.def("instruction_sets", &instruction_sets);
  steelyard::bind_plan(m);
  // what jax.ffi.register_ffi_target takes
  m.def("xla_handler", [] { return nb::capsule(reinterpret_cast<void*>(&steelyard_xla), "xla._CUSTOM_CALL_TARGET"); });
  m.def("train", &train, "instructions"_a, nb::kw_only(), "X"_a, "y"_a, "stream"_a, "sizes"_a, "parameters"_a,
        "numbers"_a, "pairwise"_a.none(), "cost"_a.none(), "changes"_a, "defer"_a, "cosine"_a, "rate"_a, "decay"_a,
        "stop"_a, "held_X"_a.none(), "held_y"_a.none(), "held_weight"_a.none(), "every"_a, "patience"_a,
        "gradient"_a.none());
}
