// What every sweep shares: the call with its numbers in the type of the arithmetic, and which rows a block has.

#pragma once

#include <stdlib.h>

#include "softmax.hpp"
#include "wide.hpp"

namespace {

template <class In>
struct Arithmetic {
  typedef float T;
};
template <>
struct Arithmetic<double> {
  typedef double T;
};

// A gradient of so many bytes or more is written past the caches: it would push everything else out of them.
constexpr int64_t STREAMED = 16 << 20;

template <class T>
constexpr T ONES[16] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

template <class T>
struct Numbers {
  explicit Numbers(const SteelyardCall& c)
      : w(static_cast<const T*>(c.class_weight)),
        scale(static_cast<const T*>(c.scale)),
        offset(static_cast<const T*>(c.offset)),
        margin(static_cast<const T*>(c.margin)),
        smoothing(static_cast<const T*>(c.smoothing)),
        sample(static_cast<const T*>(c.sample_weight)),
        upstream(static_cast<const T*>(c.upstream)),
        loss(static_cast<T*>(c.loss)),
        gamma(static_cast<T>(c.gamma)),
        poly(static_cast<T>(c.poly)),
        factor(static_cast<T>(c.factor / (c.divide == STEELYARD_BY_NOTHING ? 1.0 : c.denominator))),
        one_smoothing(c.smoothing && c.one_smoothing),
        C(c.classes),
        classes(static_cast<T>(c.classes)) {
    // a mean over nothing is 0, and so is its gradient
    if (c.divide != STEELYARD_BY_NOTHING && c.denominator == 0.0) factor = 0;
  }
  const T *w, *scale, *offset, *margin, *smoothing, *sample, *upstream;
  T* loss;
  T gamma, poly, factor;
  bool one_smoothing;
  int64_t C;
  T classes;
};

static INLINE int64_t target_at(const SteelyardCall& c, int64_t row) {
  return c.target_kind == STEELYARD_INT64 ? static_cast<const int64_t*>(c.target)[row]
                                          : static_cast<const int32_t*>(c.target)[row];
}

// One vector of rows: what is looked up for each before the sweep, and what the sweep finds.
template <class T>
struct alignas(64) Group {
  static constexpr int L = Wide<T>::L;
  T own[L];     // a_y, margin included
  T bare[L];    // a_y without
  T weight[L];  // s·ω; 0 where ignored
  T pull[L];    // s·ω·(factor · upstream): what the gradient is multiplied by
  T smooth[L];  // ε of the true class
  T S[L];       // Σ of the other exponentials
  T sum_a[L];   // Σ a of all classes, for smoothing
  T shift[L];   // what was subtracted from a
  T f[L];       // gradient = Δ (e · f − k), at the target Δ · g
  T k[L];
  T g[L];
  T loss[L];
  typename Wide<T>::Int y[L];
  typename Wide<T>::Int keep[L];  // all bits or none
  int rows;
};

// Looks up targets and weights of `rows` rows from `row` on; `z` is the logit of class 0 of the first, `along` the
// distance between rows, `across` that between classes.
template <class T, class In>
static INLINE void look_up(const SteelyardCall& c, const Numbers<T>& p, Group<T>& group, int64_t row, int rows,
                           const In* z, int64_t along, int64_t across) {
  group.rows = rows;
  for (int i = 0; i < Wide<T>::L; ++i) {
    const bool there = i < rows;
    const int64_t y = there ? target_at(c, row + i) : 0;
    const bool keep = there && !(c.has_ignore && y == c.ignore_index);
    const int64_t at = keep ? y : 0;
    group.keep[i] = keep ? -1 : 0;
    group.y[i] = static_cast<typename Wide<T>::Int>(at);
    T a = keep ? static_cast<T>(one(z + i * along + at * across)) : T{};
    if (p.scale) a *= p.scale[at];
    if (p.offset) a += p.offset[at];
    group.bare[i] = a;
    if (p.margin) a -= p.margin[at];
    group.own[i] = a;
    T weight = keep ? T{1} : T{0};
    if (p.w) weight *= p.w[at];
    if (p.sample && there) weight *= p.sample[row + i];
    group.weight[i] = weight;
    group.pull[i] = weight * p.factor;
    if (p.upstream && there) group.pull[i] *= p.upstream[row + i];
    group.smooth[i] = p.smoothing ? p.smoothing[at] : T{};
    group.shift[i] = T{};
  }
}

// Whether the sum of some row left the range in which it is exact without a shift; see `finish`.
template <class T>
static INLINE Mask<T> outside(const Group<T>& group) {
  const Vec<T> S = load(group.S), E = exp<T>(load(group.own) - load(group.shift)), Z = S + E;
  Mask<T> keep;
  memcpy(&keep, group.keep, sizeof keep);
  return ~((Z >= Wide<T>::low) & (Z <= Wide<T>::high) & (S >= Wide<T>::faint)) & keep;
}

// −log q = log(1 + S / E), from the quotient while it can be formed, else from the logarithms.
template <class T>
static INLINE Vec<T> negative_log(Vec<T> S, Vec<T> E, Vec<T> Z, Vec<T> a) {
  const Mask<T> quotient = (E >= static_cast<T>(1e-30)) & (S <= E * static_cast<T>(1e5));
  const Vec<T> n = log1p<T>(quotient ? S / E : Vec<T>{});
  const Vec<T> whole = log<T>(larger<T>(Z, all<T>(Wide<T>::tiny))) - a;
  return quotient ? n : whole;
}

// (1 − q)^γ from u = 1 − q: 0 where u is.
template <class T>
static INLINE Vec<T> power_of(Vec<T> u, T gamma) {
  if (gamma == T{2}) return u * u;
  if (gamma == T{1}) return u;
  const Vec<T> p = exp<T>(gamma * log<T>(larger<T>(u, all<T>(Wide<T>::tiny))));
  return u > Wide<T>::tiny ? p : Vec<T>{} + (gamma > T{} ? T{} : T{1});
}

// φ and ψ of `steelyard/losses/focusing.py`.
template <class T>
struct Focus {
  Vec<T> phi, psi;
};
template <class T>
static INLINE Focus<T> focus(Vec<T> n, Vec<T> q, Vec<T> u, T gamma, T poly) {
  const Vec<T> finite = smaller<T>(n, all<T>(static_cast<T>(1e30)));
  const Vec<T> kappa = u > Wide<T>::tiny ? finite * q / larger<T>(u, all<T>(Wide<T>::tiny)) : all<T>(1);
  const Vec<T> power = gamma == T{} ? all<T>(1) : power_of<T>(u, gamma);
  return {power * (n + poly * u), power * (static_cast<T>(1) + gamma * kappa + poly * (gamma + static_cast<T>(1)) * q)};
}

// From the sums of a vector of rows to their losses and to what their gradients are made of.
template <class T>
static INLINE void finish(const Numbers<T>& p, Group<T>& group) {
  typedef Vec<T> V;
  const V shift = load(group.shift), a = load(group.own) - shift, S = load(group.S), E = exp<T>(a), Z = S + E;
  const V n = negative_log<T>(S, E, Z, a), inverse = static_cast<T>(1) / Z, u = S * inverse;
  V phi = n, psi = all<T>(1);
  if (p.gamma != T{} || p.poly != T{}) {
    const Focus<T> bent = focus<T>(n, E * inverse, u, p.gamma, p.poly);
    phi = bent.phi;
    psi = bent.psi;
  }
  const V pull = load(group.pull) * psi;
  V at_target = -pull * u, k{};
  if (p.smoothing) {
    // Σ_c −log q_c over the others = (C − 1) log Z − Σ a
    const V eps = load(group.smooth);
    const V log_Z = log<T>(larger<T>(Z, all<T>(Wide<T>::tiny)));
    const V others = (p.classes - static_cast<T>(1)) * (log_Z + shift) - (load(group.sum_a) - load(group.bare));
    phi = (static_cast<T>(1) - eps) * n + eps * ((n + others) / p.classes);
    k = pull * eps / p.classes;
    at_target = -pull * (u - eps * ((p.classes - static_cast<T>(1)) / p.classes));
  }
  Mask<T> keep;
  memcpy(&keep, group.keep, sizeof keep);
  store(group.loss, keep ? load(group.weight) * phi : V{});
  store(group.f, keep ? pull * inverse : V{});
  store(group.k, keep ? k : V{});
  store(group.g, keep ? at_target : V{});
}

template <class T>
static INLINE double take_losses(const Numbers<T>& p, const Group<T>& group, int64_t row) {
  double sum = 0;
  for (int i = 0; i < group.rows; ++i) sum += static_cast<double>(group.loss[i]);
  if (p.loss) memcpy(p.loss + row, group.loss, sizeof(T) * group.rows);
  return sum;
}

// Memory of one block, given back with it.
class Scratch {
 public:
  explicit Scratch(size_t bytes) : at(aligned_alloc(64, (bytes + 127) / 64 * 64)) {}
  ~Scratch() { free(at); }
  Scratch(const Scratch&) = delete;
  void* const at;
};

}  // namespace
