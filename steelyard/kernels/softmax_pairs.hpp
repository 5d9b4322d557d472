// Two classes next to each other, integer targets: one exponential per row instead of two.
//
//     gap = a_other − a_y + m_y        −log q_y = softplus(gap)        1 − q_y = q_other = σ(gap)

#pragma once

#include "loss_call.hpp"

namespace {

template <class T>
static INLINE Mask<T> classes_at(const SteelyardCall& c, int64_t row) {
  if (c.target_kind == STEELYARD_INT32) {
    typedef int32_t Narrow __attribute__((vector_size(Wide<T>::L * 4)));
    Narrow y;
    memcpy(&y, static_cast<const int32_t*>(c.target) + row, sizeof y);
    return __builtin_convertvector(y, Mask<T>);
  }
  typedef int64_t Long __attribute__((vector_size(Wide<T>::L * 8)));
  Long y;
  memcpy(&y, static_cast<const int64_t*>(c.target) + row, sizeof y);
  return __builtin_convertvector(y, Mask<T>);
}

template <class T>
static INLINE Vec<T> of_class(const T* table, Mask<T> second, T absent) {
  return table ? (second ? all<T>(table[1]) : all<T>(table[0])) : all<T>(absent);
}

template <class T, class In, bool PLAIN, bool GRADIENT>
static double pairs_block(const SteelyardCall& c, const Numbers<T>& p, int64_t from, int64_t to, bool past_caches) {
  typedef Vec<T> V;
  typedef Mask<T> M;
  constexpr int L = Wide<T>::L;
  constexpr auto lanes = std::make_integer_sequence<int, L>{};
  const In* const logits = static_cast<const In*>(c.logits);
  In* const gradient = static_cast<In*>(c.gradient);
  const bool streams = GRADIENT && past_caches && reinterpret_cast<uintptr_t>(gradient) % (sizeof(In) * L) == 0;
  const M ignored = M{} + static_cast<typename Wide<T>::Int>(c.ignore_index);
  double sum = 0;
  V part{};
  const auto add = [&] {
    T lane[L];
    store(lane, part);
    for (int i = 0; i < L; ++i) sum += static_cast<double>(lane[i]);
    part = V{};
  };
  for (int64_t at = from; at < to; ++at) {
    const int64_t row = at * L;
    const int rows = static_cast<int>(c.batch - row < L ? c.batch - row : L);
    V a, b;
    M y;
    V s = all<T>(1), up = all<T>(p.factor);
    if (rows == L) {
      __builtin_prefetch(logits + 2 * row + 4096 / sizeof(In));
      a = load(logits + 2 * row);
      b = load(logits + 2 * row + L);
      y = classes_at<T>(c, row);
      if (p.sample) s = load(p.sample + row);
      if (p.upstream) up *= load(p.upstream + row);
    } else {
      a = load_some<T>(logits + 2 * row, 2 * rows < L ? 2 * rows : L, T{});
      b = load_some<T>(logits + 2 * row + L, 2 * rows > L ? 2 * rows - L : 0, T{});
      for (int i = 0; i < L; ++i) y[i] = i < rows ? static_cast<typename Wide<T>::Int>(target_at(c, row + i)) : 0;
      s = p.sample ? load_some<T>(p.sample + row, rows, T{}) : load_some<T>(&ONES<T>[0], rows, T{});
      if (p.upstream) up *= load_some<T>(p.upstream + row, rows, T{});
    }
    unzip<T>(a, b, lanes);
    M keep = ~M{};
    if (c.has_ignore) {
      keep = y != ignored;
      y &= keep;
      a = keep ? a : V{};  // an ignored row may hold NaN
      b = keep ? b : V{};
      s = keep ? s : V{};
    }
    if constexpr (!PLAIN) {
      if (p.scale) {
        a *= p.scale[0];
        b *= p.scale[1];
      }
      if (p.offset) {
        a += p.offset[0];
        b += p.offset[1];
      }
    }
    const M second = y != 0;
    V gap = second ? a - b : b - a;
    if constexpr (!PLAIN)
      if (p.margin) gap += of_class<T>(p.margin, second, T{});
    if (p.w) s *= of_class<T>(p.w, second, T{1});
    const V size = gap > T{} ? gap : -gap;
    const V t = exp<T>(-size), tail = log1p_small<T>(t), inverse = static_cast<T>(1) / (t + static_cast<T>(1));
    const V lesser = t * inverse;
    const M behind = gap > T{};
    const V n = (behind ? gap : V{}) + tail, u = behind ? inverse : lesser;
    V phi = n, slope = u;
    if constexpr (!PLAIN) {
      const V q = behind ? lesser : inverse;
      const bool bent = p.gamma != T{} || p.poly != T{};
      V psi = all<T>(1);
      if (bent) {
        const Focus<T> own = focus<T>(n, q, u, p.gamma, p.poly);
        phi = own.phi;
        psi = own.psi;
      }
      slope = psi * u;
      if (p.smoothing) {
        const V half = of_class<T>(p.smoothing, second, T{}) * static_cast<T>(0.5);
        Focus<T> other{(behind ? V{} : -gap) + tail, all<T>(1)};
        if (bent) other = focus<T>(other.phi, u, q, p.gamma, p.poly);
        phi = (static_cast<T>(1) - half) * phi + half * other.phi;
        slope = (static_cast<T>(1) - half) * slope - half * other.psi * q;
      }
    }
    const V loss = s * phi;
    if (p.loss) {
      if (rows == L)
        store(p.loss + row, loss);
      else
        store_some(p.loss + row, loss, rows);
    }
    part += loss;
    if ((at & 15) == 15) add();
    if constexpr (GRADIENT) {
      const V g = s * up * slope;  // of the other class; of its own the opposite
      V g0 = second ? g : -g, g1 = second ? -g : g;
      if constexpr (!PLAIN)
        if (p.scale) {
          g0 *= p.scale[0];
          g1 *= p.scale[1];
        }
      zip<T>(g0, g1, lanes);
      In* const out = gradient + 2 * row;
      if (rows < L) {
        store_some(out, g0, 2 * rows < L ? 2 * rows : L);
        if (2 * rows > L) store_some(out + L, g1, 2 * rows - L);
      } else if (streams) {
        stream(out, g0);
        stream(out + L, g1);
      } else {
        store(out, g0);
        store(out + L, g1);
      }
    }
  }
  add();
  if (streams) streams_done();
  return sum;
}

}  // namespace
