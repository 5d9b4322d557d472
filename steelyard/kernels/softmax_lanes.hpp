// Integer targets, a row per lane: positions next to each other (n, c, h, w), or few classes, which are transposed.
//
// Nothing is summed across a vector, and a vector is full whatever the number of classes.

#pragma once

#include "loss_call.hpp"

namespace {

// Where a unit of U vectors of rows lies.
template <class In>
struct Place {
  const In* z;  // class 0 of the first row
  In* g;
  int64_t row;  // the first
  int rows;     // fewer than U · L at an end
};

template <class T, class In, bool PLAIN, bool GRADIENT, int U>
struct Lanes {
  typedef Vec<T> V;
  typedef Mask<T> M;
  static constexpr int L = Wide<T>::L;

  const SteelyardCall& c;
  const Numbers<T>& p;
  T* const e;  // (classes, U, L)
  Group<T> group[U];

  INLINE V adjusted(V a, int64_t k, V shift) const {
    if constexpr (!PLAIN) {
      if (p.scale) a *= p.scale[k];
      if (p.offset) a += p.offset[k];
    }
    return a - shift;
  }

  // `read(k, u)` is the vector of logits of class k. Exponentials, their sums and the rest of the row's numbers.
  template <class Read>
  INLINE void sums(Read read) {
    V S[U] = {}, A[U] = {}, shift[U];
    M y[U];
#pragma GCC unroll 4
    for (int u = 0; u < U; ++u) {
      memcpy(&y[u], group[u].y, sizeof(M));
      shift[u] = load(group[u].shift);
    }
    for (int64_t k = 0; k < p.C; ++k) {
      const M here = M{} + static_cast<typename Wide<T>::Int>(k);
#pragma GCC unroll 4
      for (int u = 0; u < U; ++u) {
        const V a = adjusted(read(k, u), k, shift[u]);
        const V power = exp<T>(a);
        if constexpr (GRADIENT) store(e + (k * U + u) * L, power);
        S[u] += y[u] == here ? V{} : power;
        if constexpr (!PLAIN) A[u] += a;
      }
    }
#pragma GCC unroll 4
    for (int u = 0; u < U; ++u) {
      store(group[u].S, S[u]);
      if constexpr (!PLAIN) store(group[u].sum_a, A[u] + shift[u] * p.classes);
    }
  }

  template <class Read>
  INLINE void again(Read read) {
    for (int u = 0; u < U; ++u) {
      V top = load(group[u].own);
      for (int64_t k = 0; k < p.C; ++k) top = larger<T>(adjusted(read(k, u), k, V{}), top);
      top = top < static_cast<T>(INFINITY) ? top : V{};
      store(group[u].shift, top > -static_cast<T>(INFINITY) ? top : V{});
    }
    sums(read);
  }

  template <class Read>
  INLINE double forward(const Place<In>& at, Read read, int64_t along, int64_t across) {
    for (int u = 0; u < U; ++u) {
      const int left = at.rows - u * L;
      look_up<T, In>(c, p, group[u], at.row + u * L, left < 0 ? 0 : left < L ? left : L, at.z + u * L * along, along, across);
    }
    sums(read);
    M bad{};
    for (int u = 0; u < U; ++u) bad |= outside(group[u]);
    if (any<T>(bad)) again(read);
    double sum = 0;
    for (int u = 0; u < U; ++u) {
      finish(p, group[u]);
      sum += take_losses(p, group[u], at.row + u * L);
    }
    return sum;
  }

  // `write(k, u, gradient)` for every class.
  template <class Write>
  INLINE void backward(Write write) {
    V f[U], own[U], shared[U];
    M y[U], keep[U];
#pragma GCC unroll 4
    for (int u = 0; u < U; ++u) {
      f[u] = load(group[u].f);
      own[u] = load(group[u].g);
      shared[u] = load(group[u].k);
      memcpy(&y[u], group[u].y, sizeof(M));
      memcpy(&keep[u], group[u].keep, sizeof(M));
    }
    const bool ignores = c.has_ignore;
    for (int64_t k = 0; k < p.C; ++k) {
      const M here = M{} + static_cast<typename Wide<T>::Int>(k);
#pragma GCC unroll 4
      for (int u = 0; u < U; ++u) {
        V g = load(e + (k * U + u) * L) * f[u];
        if constexpr (!PLAIN) g -= shared[u];
        g = y[u] == here ? own[u] : g;
        if constexpr (!PLAIN)
          if (p.scale) g *= p.scale[k];
        if (ignores) g = keep[u] ? g : V{};
        write(k, u, g);
      }
    }
  }
};

// Positions next to each other: `at` counts units of U vectors in each item of the batch.
template <class T, class In, bool PLAIN, bool GRADIENT, int U>
static double strided_block(const SteelyardCall& c, const Numbers<T>& p, int64_t from, int64_t to, T* scratch,
                            bool past_caches) {
  constexpr int W = U * Wide<T>::L, L = Wide<T>::L;
  const int64_t units = (c.positions + W - 1) / W;
  Lanes<T, In, PLAIN, GRADIENT, U> lanes{c, p, scratch, {}};
  double sum = 0;
  for (int64_t at = from; at < to; ++at) {
    const int64_t item = at / units, first = at % units * W;
    const int rows = static_cast<int>(c.positions - first < W ? c.positions - first : W);
    const Place<In> place{static_cast<const In*>(c.logits) + item * c.stride_batch + first,
                          static_cast<In*>(c.gradient) + (GRADIENT ? item * c.gradient_batch + first : 0),
                          item * c.positions + first, rows};
    if (rows == W) {
      sum += lanes.forward(
          place,
          [&](int64_t k, int u) {
            const In* z = place.z + k * c.stride_class + u * L;
            __builtin_prefetch(z + 4 * W);
            return load(z);
          },
          1, c.stride_class);
      if constexpr (GRADIENT) {
        const bool aligned = (reinterpret_cast<uintptr_t>(place.g) | c.gradient_class * sizeof(In)) % (sizeof(In) * L) == 0;
        if (past_caches && aligned)
          lanes.backward([&](int64_t k, int u, Vec<T> g) { stream(place.g + k * c.gradient_class + u * L, g); });
        else
          lanes.backward([&](int64_t k, int u, Vec<T> g) { store(place.g + k * c.gradient_class + u * L, g); });
      }
      continue;
    }
    const auto lanes_of = [rows](int u) { return rows - u * L < 0 ? 0 : rows - u * L < L ? rows - u * L : L; };
    sum += lanes.forward(
        place, [&](int64_t k, int u) { return load_some<T>(place.z + k * c.stride_class + u * L, lanes_of(u), T{}); }, 1,
        c.stride_class);
    if constexpr (GRADIENT)
      lanes.backward([&](int64_t k, int u, Vec<T> g) { store_some(place.g + k * c.gradient_class + u * L, g, lanes_of(u)); });
  }
  if (past_caches) streams_done();
  return sum;
}

// L rows (distance `along`) of C classes ↔ C vectors. `to` has room for whole tiles.
template <class T, class In>
static INLINE void to_columns(const In* z, int64_t along, int64_t C, int rows, T* to, const In* end) {
  constexpr int L = Wide<T>::L;
  for (int64_t k = 0; k < C; k += L) {
    Vec<T> r[L];
    const int count = static_cast<int>(C - k < L ? C - k : L);
#pragma GCC unroll 16
    for (int i = 0; i < L; ++i) {
      const In* at = z + (i < rows ? i : 0) * along + k;
      r[i] = count == L || end - at >= L ? load(at) : load_some<T>(at, count, T{});
    }
    transpose<T>(r);
#pragma GCC unroll 16
    for (int i = 0; i < L; ++i) store(to + (k + i) * L, r[i]);
  }
}

template <class T, class In>
static INLINE void to_rows(const T* from, int64_t C, int rows, In* g, int64_t along) {
  constexpr int L = Wide<T>::L;
  // the last tile first: where it is not whole its vectors reach into the next rows, which are written after it
  for (int64_t k = (C - 1) / L * L; k >= 0; k -= L) {
    Vec<T> r[L];
    const int count = static_cast<int>(C - k < L ? C - k : L);
#pragma GCC unroll 16
    for (int i = 0; i < L; ++i) r[i] = load(from + (k + i) * L);
    transpose<T>(r);
    if (count == L && rows == L) {
#pragma GCC unroll 16
      for (int i = 0; i < L; ++i) store(g + i * along + k, r[i]);
      continue;
    }
    for (int i = 0; i < rows; ++i) {
      if ((rows - 1 - i) * along + count >= L)
        store(g + i * along + k, r[i]);
      else
        store_some(g + i * along + k, r[i], count);
    }
  }
}

// The same for rows that need not lie next to each other: there nothing may be written between them.
template <class T, class In>
static INLINE void rows_out(const T* from, int64_t C, int rows, In* g, int64_t along) {
  constexpr int L = Wide<T>::L;
  if (along == C || C % L == 0) return to_rows<T, In>(from, C, rows, g, along);
  In line[L * L];
  for (int64_t k = 0; k < C; k += L) {
    const int count = static_cast<int>(C - k < L ? C - k : L);
    to_rows<T, In>(from + k * L, L, rows, line, L);
    for (int i = 0; i < rows; ++i) memcpy(g + i * along + k, line + i * L, sizeof(In) * count);
  }
}

// Few classes next to each other: `at` counts vectors of rows.
template <class T, class In, bool PLAIN, bool GRADIENT>
static double transposed_block(const SteelyardCall& c, const Numbers<T>& p, int64_t from, int64_t to, T* scratch) {
  constexpr int L = Wide<T>::L;
  const int64_t tiles = (p.C + L - 1) / L * L;
  T* const columns = scratch + tiles * L;
  Lanes<T, In, PLAIN, GRADIENT, 1> lanes{c, p, scratch, {}};
  const In* const end = static_cast<const In*>(c.logits) + (c.batch - 1) * c.stride_batch + c.classes;
  double sum = 0;
  for (int64_t at = from; at < to; ++at) {
    const int64_t row = at * L;
    const int rows = static_cast<int>(c.batch - row < L ? c.batch - row : L);
    const Place<In> place{static_cast<const In*>(c.logits) + row * c.stride_batch, nullptr, row, rows};
    to_columns<T, In>(place.z, c.stride_batch, p.C, rows, columns, end);
    sum += lanes.forward(place, [&](int64_t k, int) { return load(columns + k * L); }, c.stride_batch, 1);
    if constexpr (GRADIENT) {
      lanes.backward([&](int64_t k, int, Vec<T> g) { store(columns + k * L, g); });
      rows_out<T, In>(columns, p.C, rows, static_cast<In*>(c.gradient) + row * c.gradient_batch, c.gradient_batch);
    }
  }
  return sum;
}

}  // namespace
