// The fused cross-entropies as Python sees them: a `Plan` holds the parameters of a loss in both types of the
// arithmetic, and a call hands over addresses and sizes. Whoever calls keeps the arrays alive and has checked their
// shapes; `steelyard/kernels/plans.py` is the one place that does.

#include "plan.hpp"

#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>

#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include "softmax.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using Table = std::optional<nb::ndarray<const double, nb::numpy, nb::ndim<1>, nb::c_contig, nb::device::cpu>>;

struct Held {
  std::vector<double> wide;
  std::vector<float> narrow;
};

class Plan {
 public:
  Plan(bool sigmoid, const std::string& instructions, int64_t classes, const Table& class_weight, const Table& scale,
       const Table& offset, const Table& margin, const Table& smoothing, double gamma, double poly,
       const Table& pos_weight, double gamma_neg, const Table& outcome, std::optional<int64_t> ignore_index,
       bool one_smoothing)
      : sigmoid_(sigmoid), instructions_(instructions) {
    SteelyardCall c{};
    c.size = static_cast<int32_t>(sizeof c);
    c.classes = classes;
    c.one_smoothing = one_smoothing;
    c.has_ignore = ignore_index.has_value();
    c.ignore_index = ignore_index.value_or(0);
    if (sigmoid) {
      c.gamma_pos = gamma;
      c.gamma_neg = gamma_neg;
    } else {
      c.gamma = gamma;
      c.poly = poly;
    }
    if (outcome) {
      if (outcome->size() != 4) throw std::invalid_argument("four outcome weights");
      outcome_.assign(outcome->data(), outcome->data() + 4);
    }
    narrow_ = wide_ = c;
    hold(0, class_weight, &SteelyardCall::class_weight);
    hold(1, scale, &SteelyardCall::scale);
    hold(2, offset, &SteelyardCall::offset);
    hold(3, margin, &SteelyardCall::margin);
    hold(4, smoothing, &SteelyardCall::smoothing);
    hold(5, pos_weight, &SteelyardCall::pos_weight);
    narrow_.outcome = wide_.outcome = outcome_.empty() ? nullptr : outcome_.data();
  }
  Plan(const Plan&) = delete;

  std::tuple<int, double, double, double, int64_t, int64_t> run(
      int dtype, int64_t batch, int64_t positions, int64_t stride_batch, int64_t stride_class, int64_t stride_position,
      uintptr_t logits, uintptr_t gradient, uintptr_t target, int target_kind, uintptr_t sample_weight,
      uintptr_t class_weight, uintptr_t upstream, int divide, double denominator, double factor, uintptr_t loss,
      uintptr_t curvature, int threads) const {
    SteelyardCall c = dtype == STEELYARD_FLOAT64 ? wide_ : narrow_;
    c.dtype = dtype;
    c.batch = batch;
    c.positions = positions;
    c.stride_batch = c.gradient_batch = stride_batch;
    c.stride_class = c.gradient_class = stride_class;
    c.stride_position = c.gradient_position = stride_position;
    c.logits = reinterpret_cast<const void*>(logits);
    c.gradient = reinterpret_cast<void*>(gradient);
    c.target = reinterpret_cast<const void*>(target);
    c.target_kind = target_kind;
    c.sample_weight = reinterpret_cast<const void*>(sample_weight);
    if (class_weight) c.class_weight = reinterpret_cast<const void*>(class_weight);
    c.upstream = reinterpret_cast<const void*>(upstream);
    c.divide = divide;
    c.denominator = denominator;
    c.factor = factor;
    c.loss = reinterpret_cast<void*>(loss);
    c.curvature = reinterpret_cast<void*>(curvature);
    c.threads = threads;
    int status;
    if (batch * c.classes * positions < 8192) {
      status = sigmoid_ ? steelyard_sigmoid(&c, instructions_.c_str()) : steelyard_softmax(&c, instructions_.c_str());
    } else {
      nb::gil_scoped_release others;
      status = sigmoid_ ? steelyard_sigmoid(&c, instructions_.c_str()) : steelyard_softmax(&c, instructions_.c_str());
    }
    return {status, c.sum_loss, c.sum_weight, c.sum_sample_weight, c.rows, c.bad_row};
  }

 private:
  void hold(int which, const Table& table, const void* SteelyardCall::* field) {
    if (!table) return;
    if (static_cast<int64_t>(table->size()) != wide_.classes) throw std::invalid_argument("a number for each class");
    Held& held = held_[which];
    held.wide.assign(table->data(), table->data() + table->size());
    for (double x : held.wide) held.narrow.push_back(static_cast<float>(x));
    wide_.*field = held.wide.data();
    narrow_.*field = held.narrow.data();
  }

  bool sigmoid_;
  std::string instructions_;
  SteelyardCall narrow_, wide_;
  Held held_[6];
  std::vector<double> outcome_;
};

}  // namespace

void steelyard::bind_plan(nb::module_& m) {
  nb::class_<Plan>(m, "Plan")
      .def(nb::init<bool, const std::string&, int64_t, const Table&, const Table&, const Table&, const Table&,
                    const Table&, double, double, const Table&, double, const Table&, std::optional<int64_t>, bool>(),
           "sigmoid"_a, "instructions"_a, "classes"_a, nb::kw_only(), "class_weight"_a.none() = nb::none(),
           "logit_scale"_a.none() = nb::none(), "logit_offset"_a.none() = nb::none(), "margin"_a.none() = nb::none(),
           "label_smoothing"_a.none() = nb::none(), "gamma"_a = 0.0, "poly_coefficient"_a = 0.0,
           "pos_weight"_a.none() = nb::none(), "gamma_neg"_a = 0.0, "outcome_weight"_a.none() = nb::none(),
           "ignore_index"_a.none() = nb::none(),
           "one_smoothing"_a = false)
      .def("run", &Plan::run);
}
