// The sigmoid family for one instruction set: every element by itself.
//
//     ℓ = t ω₁ (1 − p)^γ₊ (−log p) + (1 − t) ω₀ p^γ₋ (−log(1 − p))        p = σ(z)
//     ω₁ = w v (p O[1, 1] + (1 − p) O[1, 0])        ω₀ = w (p O[0, 1] + (1 − p) O[0, 0])
//
// A span is a run of elements whose per-label numbers either lie along it or are the same for all of it.

#include "loss_call.hpp"
#include "loss_work.hpp"

#define JOINED(a, b) a##b
#define NAMED(a, b) JOINED(a, b)

namespace {

using steelyard::Work;

enum Kind { FLAT, LABELS_ALONG, POSITIONS_ALONG, WEIGHTS_ONLY = 4 };

constexpr int64_t BLOCK = 1 << 16;

template <class T>
struct Labels {
  explicit Labels(const SteelyardCall& c)
      : w(static_cast<const T*>(c.class_weight)),
        v(static_cast<const T*>(c.pos_weight)),
        gamma_pos(static_cast<T>(c.gamma_pos)),
        gamma_neg(static_cast<T>(c.gamma_neg)),
        factor(static_cast<T>(c.factor / (c.divide == STEELYARD_BY_NOTHING ? 1.0 : c.denominator))),
        ignored(static_cast<T>(c.ignore_index)),
        ignores(c.has_ignore != 0),
        outcome(c.outcome != nullptr) {
    if (c.divide != STEELYARD_BY_NOTHING && c.denominator == 0.0) factor = 0;
    for (int i = 0; i < 4; ++i) O[i] = outcome ? static_cast<T>(c.outcome[i]) : T{1};
  }
  const T *w, *v;
  T gamma_pos, gamma_neg, factor, ignored, O[4];
  bool ignores, outcome;
};

template <class T>
struct Element {
  Vec<T> loss, weight, gradient, curvature;
};

// A side's φ, ψ and what focusing adds to its curvature.
template <class T>
struct Side {
  Vec<T> phi, psi, bend;
};
template <class T>
static INLINE Side<T> side(Vec<T> n, Vec<T> q, Vec<T> u, T gamma) {
  if (gamma == T{}) return {n, all<T>(1), Vec<T>{}};
  const Vec<T> kappa = u > Wide<T>::tiny ? n * q / larger<T>(u, all<T>(Wide<T>::tiny)) : all<T>(1);
  const Vec<T> power = power_of<T>(u, gamma);
  return {power * n, power * (static_cast<T>(1) + gamma * kappa),
          power * u * q * (gamma * (static_cast<T>(2) + gamma * kappa))};
}

template <class T>
static INLINE Element<T> element(const Labels<T>& p, Vec<T> z, Vec<T> t, Vec<T> s, Vec<T> w, Vec<T> v) {
  typedef Vec<T> V;
  const V size = z > T{} ? z : -z;
  const V e = exp<T>(-size), tail = log1p_small<T>(e), inverse = static_cast<T>(1) / (e + static_cast<T>(1));
  const V lesser = e * inverse;
  const V there = z > T{} ? inverse : lesser, away = z > T{} ? lesser : inverse;
  V one = t * s * w * v, zero = (static_cast<T>(1) - t) * s * w;
  if (p.outcome) {
    one *= there * p.O[3] + away * p.O[2];
    zero *= there * p.O[1] + away * p.O[0];
  }
  const Side<T> a = side<T>((z > T{} ? V{} : -z) + tail, there, away, p.gamma_pos);
  const Side<T> b = side<T>((z > T{} ? z : V{}) + tail, away, there, p.gamma_neg);
  return {one * a.phi + zero * b.phi, one + zero, zero * b.psi * there - one * a.psi * away,
          (one * a.psi + zero * b.psi) * there * away + (one * a.bend + zero * b.bend)};
}

struct Sums {
  double loss, weight, sample;
  int64_t rows;
};

// `count` elements from `at` on, the first of label `label`; ALONG: labels go with them.
template <class T, class In, bool ALONG>
static void span(const SteelyardCall& c, const Labels<T>& p, const Work& work, int64_t at, int64_t count, int64_t label,
                 Sums& sums) {
  typedef Vec<T> V;
  typedef Mask<T> M;
  constexpr int L = Wide<T>::L;
  const In* const z = static_cast<const In*>(c.logits) + at;
  const In* const t = static_cast<const In*>(c.target) + at;
  const T* const s = c.sample_weight ? static_cast<const T*>(c.sample_weight) + at : nullptr;
  const T* const up = c.upstream ? static_cast<const T*>(c.upstream) + at : nullptr;
  const bool only = work.kind & WEIGHTS_ONLY;
  In* const g = c.gradient && !only ? static_cast<In*>(c.gradient) + at : nullptr;
  T* const losses = c.loss && !only ? static_cast<T*>(c.loss) + at : nullptr;
  T* const h = c.curvature && !only ? static_cast<T*>(c.curvature) + at : nullptr;
  const bool streams = work.past_caches && g && reinterpret_cast<uintptr_t>(g) % (sizeof(In) * L) == 0;
  const V w0 = all<T>(p.w ? p.w[label] : T{1}), v0 = all<T>(p.v ? p.v[label] : T{1});
  V loss{}, weight{}, sample{}, kept{};
  const auto add = [&] {
    T lane[4][L];
    store(lane[0], loss);
    store(lane[1], weight);
    store(lane[2], sample);
    store(lane[3], kept);
    for (int i = 0; i < L; ++i) {
      sums.loss += static_cast<double>(lane[0][i]);
      sums.weight += static_cast<double>(lane[1][i]);
      sums.sample += static_cast<double>(lane[2][i]);
      sums.rows += static_cast<int64_t>(lane[3][i]);
    }
    loss = weight = sample = kept = V{};
  };
  for (int64_t i = 0, step = 0; i < count; i += L, ++step) {
    const int n = count - i < L ? static_cast<int>(count - i) : L;
    const bool whole = n == L;
    V x, y, weights = all<T>(1), w = w0, v = v0, upstream = all<T>(p.factor);
    V counts = all<T>(1);
    if (whole) {
      __builtin_prefetch(z + i + 4096 / sizeof(In));
      __builtin_prefetch(t + i + 4096 / sizeof(In));
      x = load(z + i);
      y = load(t + i);
      if (s) weights = load(s + i);
      if (up) upstream *= load(up + i);
      if (ALONG && p.w) w = load(p.w + i);
      if (ALONG && p.v) v = load(p.v + i);
    } else {
      x = load_some<T>(z + i, n, T{});
      y = load_some<T>(t + i, n, T{});
      counts = load_some<T>(ONES<T>, n, T{});
      weights = s ? load_some<T>(s + i, n, T{}) : counts;
      if (up) upstream *= load_some<T>(up + i, n, T{});
      if (ALONG && p.w) w = load_some<T>(p.w + i, n, T{});
      if (ALONG && p.v) v = load_some<T>(p.v + i, n, T{});
    }
    M keep = ~M{};
    if (p.ignores) {
      keep = y != p.ignored;
      x = keep ? x : V{};  // it may hold NaN
      y = keep ? y : V{};
      weights = keep ? weights : V{};
      counts = keep ? counts : V{};
    }
    const Element<T> out = element<T>(p, x, y, weights, w, v);
    loss += out.loss;
    weight += out.weight;
    sample += weights;
    kept += counts;
    if (g) {
      const V slope = upstream * out.gradient;
      if (!whole)
        store_some(g + i, slope, n);
      else if (streams)
        stream(g + i, slope);
      else
        store(g + i, slope);
    }
    if (losses) {
      if (whole)
        store(losses + i, out.loss);
      else
        store_some(losses + i, out.loss, n);
    }
    if (h) {
      V bound = out.curvature > static_cast<T>(1e-16) ? out.curvature : all<T>(static_cast<T>(1e-16));
      bound = keep ? bound : V{};
      if (whole)
        store(h + i, bound);
      else
        store_some(h + i, bound, n);
    }
    if ((step & 15) == 15) add();
  }
  add();
  if (streams) streams_done();
}

template <class In>
static void block_of(const SteelyardCall& c, const Work& w, int64_t from, int64_t to, Sums& sums) {
  typedef typename Arithmetic<In>::T T;
  const Labels<T> p(c);
  switch (w.kind & ~WEIGHTS_ONLY) {
    case FLAT: {
      const int64_t total = c.batch * c.classes * c.positions, begin = from * BLOCK;
      const int64_t end = to * BLOCK < total ? to * BLOCK : total;
      return span<T, In, false>(c, p, w, begin, end - begin, 0, sums);
    }
    case LABELS_ALONG:
      for (int64_t r = from; r < to; ++r) span<T, In, true>(c, p, w, r * c.classes, c.classes, 0, sums);
      return;
    default:
      for (int64_t r = from; r < to; ++r)
        span<T, In, false>(c, p, w, r * c.positions, c.positions, r % c.classes, sums);
  }
}

template <class T>
static bool the_same(const void* table, int64_t n) {
  const T* const at = static_cast<const T*>(table);
  for (int64_t i = 1; at && i < n; ++i)
    if (at[i] != at[0]) return false;
  return true;
}

}  // namespace

namespace steelyard {

void NAMED(sigmoid_plan_, INSTRUCTIONS)(const SteelyardCall& c, Work& w) {
  w = Work{};
  const int64_t bytes[] = {4, 8, 2, 2}, total = c.batch * c.classes * c.positions;
  w.past_caches = c.gradient && total * bytes[c.dtype] >= STREAMED;
  const bool flat = c.dtype == STEELYARD_FLOAT64
                        ? the_same<double>(c.class_weight, c.classes) && the_same<double>(c.pos_weight, c.classes)
                        : the_same<float>(c.class_weight, c.classes) && the_same<float>(c.pos_weight, c.classes);
  w.kind = flat ? FLAT : c.positions == 1 ? LABELS_ALONG : POSITIONS_ALONG;
  const int64_t size = flat ? BLOCK : c.positions == 1 ? c.classes : c.positions;
  w.units = (total + size - 1) / size;
  w.per_block = BLOCK / size < 1 ? 1 : BLOCK / size;
  w.blocks = (w.units + w.per_block - 1) / w.per_block;
}

// Writes four sums: Σ s·ω·ℓ, Σ s·ω, Σ s, and how many elements count.
bool NAMED(sigmoid_run_, INSTRUCTIONS)(const SteelyardCall& c, const Work& w, int64_t block, double* sum) {
  const int64_t from = block * w.per_block, to = from + w.per_block < w.units ? from + w.per_block : w.units;
  Sums sums{};
  switch (c.dtype) {
    case STEELYARD_FLOAT32:
      block_of<float>(c, w, from, to, sums);
      break;
    case STEELYARD_FLOAT64:
      block_of<double>(c, w, from, to, sums);
      break;
    case STEELYARD_BFLOAT16:
      block_of<BFloat16>(c, w, from, to, sums);
      break;
    default:
      block_of<Float16>(c, w, from, to, sums);
  }
  sum[0] = sums.loss;
  sum[1] = sums.weight;
  sum[2] = sums.sample;
  sum[3] = static_cast<double>(sums.rows);
  return true;
}

}  // namespace steelyard
