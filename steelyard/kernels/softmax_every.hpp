// Losses in which every class takes part: weights over classes as targets, and smoothing together with focusing.
//
//     g_j = Δ_j [ q_j (Σ_c d_c − d_j) − (1 − q_j) d_j ],        d_c = b_c ψ_c
//
// One source for both layouts: with LANES a vector holds rows, without it classes of one row.

#pragma once

#include "softmax_lanes.hpp"

namespace {

template <class T, bool LANES, bool BENT>
struct Every {
  typedef Vec<T> V;
  typedef Mask<T> M;
  static constexpr int L = Wide<T>::L;

  const Numbers<T>& p;
  const int64_t steps;  // classes, or vectors of them
  const int rest;       // lanes of the last step that count
  T *const adjusted, *const powers;

  Every(const Numbers<T>& p, T* scratch)
      : p(p),
        steps(LANES ? p.C : (p.C + L - 1) / L),
        rest(LANES || p.C % L == 0 ? L : static_cast<int>(p.C % L)),
        adjusted(scratch),
        powers(scratch + steps * L) {}

  static size_t floats(int64_t C) { return static_cast<size_t>(2 * (LANES ? C : (C + L - 1) / L) * L); }

  INLINE V table(const T* at, int64_t j, T neutral) const {
    if constexpr (LANES) return all<T>(at[j]);
    return j + 1 < steps || rest == L ? load(at + j * L) : load_some<T>(at + j * L, rest, neutral);
  }
  INLINE V total(V x) const {
    if constexpr (LANES) return x;
    return all<T>(lanes_sum<T>(x));
  }
  INLINE M real(int64_t j) const {
    M index{};
    if constexpr (LANES) return ~index;
    for (int i = 0; i < L; ++i) index[i] = j + 1 < steps || i < rest ? -1 : 0;
    return index;
  }

  struct Row {
    V share;  // ω̄, the weight that smoothing spreads
    V eps;
    V pull;  // what the gradient is multiplied by
    V sample;
    V loss;  // out
  };

  // Exponentials, the largest of them, and the sum of the others: the largest is never in a sum.
  INLINE void exponentials(V shift, V& largest, V& others) const {
    V M_{}, R{}, part{};
    for (int64_t j = 0; j < steps; ++j) {
      const V e = exp<T>(load(adjusted + j * L) - shift);
      store(powers + j * L, e);
      part += smaller<T>(M_, e);
      M_ = larger<T>(M_, e);
      if ((j & 31) == 31) {
        R += part;
        part = V{};
      }
    }
    R += part;
    if constexpr (LANES) {
      largest = M_;
      others = R;
    } else {
      T m[L], r[L], best = T{}, sum = T{};
      store(m, M_);
      store(r, R);
      for (int i = 0; i < L; ++i) {
        sum += r[i] + (best < m[i] ? best : m[i]);
        best = best < m[i] ? m[i] : best;
      }
      largest = all<T>(best);
      others = all<T>(sum);
    }
  }

  template <class Read, class Target, class Write>
  INLINE void run(Row& row, Read read, Target target, Write write) const {
    V top = all<T>(-static_cast<T>(INFINITY));
    for (int64_t j = 0; j < steps; ++j) {
      V a = read(j);
      if (p.scale) a *= table(p.scale, j, T{1});
      if (p.offset) a += table(p.offset, j, T{});
      if (p.margin) a -= table(p.margin, j, T{}) * target(j);
      if (!LANES && j + 1 == steps) a = real(j) ? a : all<T>(-static_cast<T>(INFINITY));
      store(adjusted + j * L, a);
      top = larger<T>(a, top);
    }
    V shift{}, largest, others;
    exponentials(shift, largest, others);
    V Z = largest + others;
    if (any<T>(~((Z >= Wide<T>::low) & (Z <= Wide<T>::high) & (others >= Wide<T>::faint)))) {
      shift = LANES ? top : all<T>(lanes_max<T>(top));
      shift = (shift > -static_cast<T>(INFINITY)) & (shift < static_cast<T>(INFINITY)) ? shift : V{};
      exponentials(shift, largest, others);
      Z = largest + others;
    }
    const V inverse = static_cast<T>(1) / Z, log_Z = log<T>(larger<T>(Z, all<T>(Wide<T>::tiny))) + shift;
    const V top_u = others * inverse, top_n = log1p<T>(others / largest);
    const V spread = row.eps * row.share / p.classes, kept = static_cast<T>(1) - row.eps;
    V loss{}, sum{}, part{}, part_d{};
    for (int64_t j = 0; j < steps; ++j) {
      const V e = load(powers + j * L), q = e * inverse;
      const M is_top = e == largest;
      const V u = is_top ? top_u : static_cast<T>(1) - q;
      const V n = is_top ? top_n : log_Z - load(adjusted + j * L);
      V b = target(j);
      if (p.w) b *= table(p.w, j, T{});
      if (p.smoothing) {
        b = kept * b + spread;
        if (!LANES && j + 1 == steps) b = real(j) ? b : V{};
      }
      V phi = n, d = b;
      if constexpr (BENT) {
        const Focus<T> bent = focus<T>(n, q, u, p.gamma, p.poly);
        phi = bent.phi;
        d = b * bent.psi;
      }
      // a class that is ruled out has an infinite loss, which nothing asks for where b is 0
      part += b > T{} ? b * phi : V{};
      part_d += d;
      store(adjusted + j * L, d);
      if ((j & 31) == 31) {
        loss += part;
        sum += part_d;
        part = part_d = V{};
      }
    }
    row.loss = row.sample * total(loss + part);
    sum = total(sum + part_d);
    for (int64_t j = 0; j < steps; ++j) {
      const V e = load(powers + j * L), q = e * inverse, d = load(adjusted + j * L);
      const V u = e == largest ? top_u : static_cast<T>(1) - q;
      V g = row.pull * (q * (sum - d) - u * d);
      if (p.scale) g *= table(p.scale, j, T{});
      write(j, g);
    }
  }

  // Σ t and what it is weighted by, of dense targets.
  template <class Target>
  INLINE void weigh(Row& row, Target target) const {
    V share{}, eps{};
    if (p.smoothing) {
      for (int64_t j = 0; j < steps; ++j) {
        const V t = target(j);
        share += p.w ? t * table(p.w, j, T{}) : t;
        eps += t * table(p.smoothing, j, T{});
      }
    }
    row.share = total(share);
    row.eps = p.one_smoothing ? all<T>(p.smoothing[0]) : total(eps);
  }
};

// A row at a time, classes next to each other.
template <class T, class In, bool BENT>
static double every_rows(const SteelyardCall& c, const Numbers<T>& p, int64_t from, int64_t to, T* scratch,
                         bool past_caches) {
  typedef Vec<T> V;
  typedef Mask<T> M;
  constexpr int L = Wide<T>::L;
  const Every<T, false, BENT> every(p, scratch);
  const bool dense = c.target_kind == STEELYARD_DENSE;
  M ramp;
  for (int i = 0; i < L; ++i) ramp[i] = i;
  double sum = 0;
  for (int64_t r = from; r < to; ++r) {
    const In* const z = static_cast<const In*>(c.logits) + r * c.stride_batch;
    In* const g = c.gradient ? static_cast<In*>(c.gradient) + r * c.gradient_batch : nullptr;
    const bool streams = past_caches && reinterpret_cast<uintptr_t>(g) % (sizeof(In) * L) == 0;
    const int64_t y = dense ? 0 : target_at(c, r);
    const bool keep = dense || !(c.has_ignore && y == c.ignore_index);
    if (!keep) {
      if (g) memset(g, 0, sizeof(In) * static_cast<size_t>(p.C));
      if (p.loss) p.loss[r] = T{};
      continue;
    }
    const T s = p.sample ? p.sample[r] : T{1};
    typename Every<T, false, BENT>::Row row{};
    row.sample = all<T>(s);
    row.pull = all<T>(s * p.factor * (p.upstream ? p.upstream[r] : T{1}));
    const bool whole = every.rest == L;
    const auto read = [&](int64_t j) {
      __builtin_prefetch(z + j * L + 4096 / sizeof(In));
      return whole || j + 1 < every.steps ? load(z + j * L) : load_some<T>(z + j * L, every.rest, T{});
    };
    const auto write = [&](int64_t j, V x) {
      if (!g) return;
      if (!whole && j + 1 == every.steps)
        store_some(g + j * L, x, every.rest);
      else if (streams)
        stream(g + j * L, x);
      else
        store(g + j * L, x);
    };
    if (dense) {
      const In* const t = static_cast<const In*>(c.target) + r * c.stride_batch;
      const auto target = [&](int64_t j) {
        return whole || j + 1 < every.steps ? load(t + j * L) : load_some<T>(t + j * L, every.rest, T{});
      };
      every.weigh(row, target);
      every.run(row, read, target, write);
    } else {
      row.share = all<T>(p.w ? p.w[y] : T{1});
      row.eps = all<T>(p.smoothing ? p.smoothing[y] : T{});
      const M here = M{} + static_cast<typename Wide<T>::Int>(y);
      const auto target = [&](int64_t j) {
        return ramp + static_cast<typename Wide<T>::Int>(j * L) == here ? all<T>(1) : V{};
      };
      every.run(row, read, target, write);
    }
    if (p.loss) p.loss[r] = row.loss[0];
    sum += static_cast<double>(row.loss[0]);
  }
  if (past_caches) streams_done();
  return sum;
}

// A vector of rows at a time: positions next to each other, or few classes, transposed.
template <class T, class In, bool BENT>
static double every_lanes(const SteelyardCall& c, const Numbers<T>& p, int64_t from, int64_t to, T* scratch) {
  typedef Vec<T> V;
  typedef Mask<T> M;
  constexpr int L = Wide<T>::L;
  const Every<T, true, BENT> every(p, scratch);
  const bool dense = c.target_kind == STEELYARD_DENSE, strided = c.positions > 1;
  const int64_t tiles = (p.C + L - 1) / L * L, units = (c.positions + L - 1) / L;
  T* const z = scratch + Every<T, true, BENT>::floats(p.C);
  T* const t = z + tiles * L;
  const In* const logits = static_cast<const In*>(c.logits);
  const In* const targets = static_cast<const In*>(c.target);
  const int64_t past = (c.batch - 1) * c.stride_batch + c.classes;
  double sum = 0;
  for (int64_t at = from; at < to; ++at) {
    const int64_t item = strided ? at / units : at * L, first = strided ? at % units * L : 0;
    const int64_t row0 = strided ? item * c.positions + first : item;
    const int64_t left = strided ? c.positions - first : c.batch - item;
    const int rows = static_cast<int>(left < L ? left : L);
    const int64_t base = item * c.stride_batch + first;
    const auto columns = [&](const In* from_, T* to_) {
      if (!strided) return to_columns<T, In>(from_ + base, c.stride_batch, p.C, rows, to_, from_ + past);
      for (int64_t k = 0; k < p.C; ++k) {
        const In* x = from_ + base + k * c.stride_class;
        store(to_ + k * L, rows == L ? load(x) : load_some<T>(x, rows, T{}));
      }
    };
    columns(logits, z);
    typename Every<T, true, BENT>::Row row{};
    row.sample = p.sample ? load_some<T>(p.sample + row0, rows, T{}) : all<T>(1);
    row.pull = row.sample * p.factor;
    if (p.upstream) row.pull *= load_some<T>(p.upstream + row0, rows, T{});
    M keep = ~M{};
    if (dense) {
      columns(targets, t);
    } else {
      M y{};
      for (int i = 0; i < rows; ++i) {
        const int64_t label = target_at(c, row0 + i);
        keep[i] = c.has_ignore && label == c.ignore_index ? 0 : -1;
        y[i] = keep[i] ? static_cast<typename Wide<T>::Int>(label) : 0;
        row.share[i] = p.w ? p.w[y[i]] : T{1};
        row.eps[i] = p.smoothing ? p.smoothing[y[i]] : T{};
      }
      for (int64_t k = 0; k < p.C; ++k) {
        store(t + k * L, y == M{} + static_cast<typename Wide<T>::Int>(k) ? all<T>(1) : V{});
        store(z + k * L, keep ? load(z + k * L) : V{});
      }
      row.sample = keep ? row.sample : V{};
      row.pull = keep ? row.pull : V{};
    }
    const auto read = [&](int64_t k) { return load(z + k * L); };
    const auto target = [&](int64_t k) { return load(t + k * L); };
    if (dense) every.weigh(row, target);
    every.run(row, read, target, [&](int64_t k, V g) { store(z + k * L, g); });
    for (int i = 0; i < rows; ++i) sum += static_cast<double>(row.loss[i]);
    if (p.loss) store_some(p.loss + row0, row.loss, rows);
    if (!c.gradient) continue;
    In* const g = static_cast<In*>(c.gradient) + item * c.gradient_batch + first;
    if (strided) {
      for (int64_t k = 0; k < p.C; ++k) {
        In* const x = g + k * c.gradient_class;
        if (rows == L)
          store(x, load(z + k * L));
        else
          store_some(x, load(z + k * L), rows);
      }
    } else {
      rows_out<T, In>(z, p.C, rows, g, c.gradient_batch);
    }
  }
  return sum;
}

}  // namespace
