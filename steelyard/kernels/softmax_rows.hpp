// Integer targets, classes next to each other: vectors go along a row.
//
// The exponentials of a group of rows are taken and summed in the same loop in which those of the group before are
// scaled and written, so that reading, arithmetic and writing overlap. They wait in a scratch that stays in the cache.

#pragma once

#include "loss_call.hpp"

namespace {

enum Write { NOTHING, STORED, STREAMED_PAST };

// A row's gradient that is still to be written: g_c = Δ_c (e_c f − k), from `e`.
template <class T, class In>
struct Pending {
  const T* e;
  In* g;
  T f, k;
};

template <class T, class In, bool PLAIN>
struct Rows {
  typedef Vec<T> V;
  static constexpr int L = Wide<T>::L;
  static constexpr int AHEAD = 4096 / static_cast<int>(sizeof(In));  // a page: where the hardware's own prefetch ends

  const Numbers<T>& p;
  const int64_t C, vectors;
  const int rest;
  V sum, big, sum_a;

  explicit Rows(const Numbers<T>& p) : p(p), C(p.C), vectors(p.C / L), rest(static_cast<int>(p.C % L)) {}

  INLINE V adjusted(const In* z, int64_t at, T shift) const {
    V a = load(z + at);
    if constexpr (!PLAIN) {
      if (p.scale) a *= load(p.scale + at);
      if (p.offset) a += load(p.offset + at);
    }
    return a - shift;
  }

  template <Write WRITE>
  INLINE void write(const Pending<T, In>& x, int64_t at) const {
    V g = load(x.e + at) * x.f;
    if constexpr (!PLAIN) {
      g -= x.k;
      if (p.scale) g *= load(p.scale + at);
    }
    if constexpr (WRITE == STREAMED_PAST)
      stream(x.g + at, g);
    else
      store(x.g + at, g);
  }

  INLINE void write_some(const Pending<T, In>& x, int64_t at, int count) const {
    V g = load_some<T>(x.e + at, count, T{}) * x.f;
    if constexpr (!PLAIN) {
      g -= x.k;
      if (p.scale) g *= load_some<T>(p.scale + at, count, T{1});
    }
    store_some(x.g + at, g, count);
  }

  // Vectors [from, to) of a row: exponentials into `e` and the sums; of the row before, the same vectors from `head` on.
  template <bool KEEP, Write WRITE>
  INLINE void along(const In* z, T* e, T shift, int64_t from, int64_t to, const Pending<T, In>& x, int64_t head) {
    while (from < to) {
      // partial sums of few terms, so that a million of them add up as exactly as a hundred
      const int64_t end = (from | 31) + 1 < to ? (from | 31) + 1 : to;
      V part{}, part_a{};
#pragma GCC unroll 2
      for (int64_t j = from; j < end; ++j) {
        if constexpr (WRITE != NOTHING) __builtin_prefetch(z + j * L + AHEAD);
        const V a = adjusted(z, j * L, shift);
        const V power = exp<T>(a);
        if constexpr (KEEP) store(e + j * L, power);
        part += power;
        if constexpr (!PLAIN) part_a += a;
        if constexpr (WRITE != NOTHING) write<WRITE>(x, head + j * L);
      }
      big += part;
      if constexpr (!PLAIN) sum_a += part_a;
      from = end;
    }
  }

  // One vector, some lanes of which do not count: the target's, and those past the end.
  template <bool KEEP>
  INLINE void apart(const In* z, T* e, T shift, int64_t j, int64_t y, int count) {
    T a[L], power[L];
    V v;
    if (count == L) {
      v = adjusted(z, j * L, shift);
    } else {
      v = load_some<T>(z + j * L, count, T{});
      if constexpr (!PLAIN) {
        if (p.scale) v *= load_some<T>(p.scale + j * L, count, T{1});
        if (p.offset) v += load_some<T>(p.offset + j * L, count, T{});
      }
      v -= shift;
    }
    store(a, v);
    store(power, exp<T>(v));
    if constexpr (!PLAIN)
      for (int i = count; i < L; ++i) a[i] = T{};
    for (int i = count; i < L; ++i) power[i] = T{};
    if constexpr (KEEP) store(e + j * L, load(power));
    if (y >= j * L && y < j * L + L) power[y - j * L] = T{};
    big += load(power);
    if constexpr (!PLAIN) sum_a += load(a);
  }

  // Sums and exponentials of row `i` of the group, and the gradient of another.
  template <bool KEEP, Write WRITE>
  INLINE void row(const In* z, T* e, Group<T>& group, int i, const Pending<T, In>& x) {
    const int64_t y = group.y[i];
    const T shift = group.shift[i];
    big = V{};
    sum_a = V{};
    const int64_t own = y / L;  // the vector of the target
    // writing starts at the first address that is aligned for `stream`
    int64_t head = 0, ready = 0;
    if constexpr (WRITE != NOTHING) {
      if constexpr (WRITE == STREAMED_PAST) {
        constexpr int64_t line = sizeof(In) * L;
        head = static_cast<int64_t>((line - reinterpret_cast<uintptr_t>(x.g) % line) % line / sizeof(In));
        if (head > C) head = C;
        if (head) write_some(x, 0, static_cast<int>(head));
      }
      ready = (C - head) / L;
    }
    const int64_t both = ready < vectors ? ready : vectors;
    const int64_t first = own < both ? own : both;
    along<KEEP, WRITE>(z, e, shift, 0, first, x, head);
    if (own < both) {
      apart<KEEP>(z, e, shift, own, y, L);
      if constexpr (WRITE != NOTHING) write<WRITE>(x, head + own * L);
      along<KEEP, WRITE>(z, e, shift, own + 1, both, x, head);
    }
    // at most one vector more, which the row being written does not have
    for (int64_t j = both; j < vectors; ++j) apart<KEEP>(z, e, shift, j, y, L);
    if (rest) apart<KEEP>(z, e, shift, vectors, y, rest);
    if constexpr (WRITE != NOTHING) {
      for (int64_t j = both; j < ready; ++j) write<WRITE>(x, head + j * L);
      const int64_t done = head + ready * L;
      if (done < C) write_some(x, done, static_cast<int>(C - done));
    }
    T lane[L];
    store(lane, big);
    double S = 0;
    for (int l = 0; l < L; ++l) S += lane[l];
    group.S[i] = static_cast<T>(S);
    if constexpr (!PLAIN) {
      store(lane, sum_a);
      S = 0;
      for (int l = 0; l < L; ++l) S += lane[l];
      group.sum_a[i] = static_cast<T>(S + static_cast<double>(shift) * static_cast<double>(C));
    }
  }

  template <Write WRITE>
  void flush(const Pending<T, In>& x) const {
    int64_t head = 0;
    if constexpr (WRITE == STREAMED_PAST) {
      constexpr int64_t line = sizeof(In) * L;
      head = static_cast<int64_t>((line - reinterpret_cast<uintptr_t>(x.g) % line) % line / sizeof(In));
      if (head > C) head = C;
      if (head) write_some(x, 0, static_cast<int>(head));
    }
    int64_t at = head;
    for (; at + L <= C; at += L) write<WRITE>(x, at);
    if (at < C) write_some(x, at, static_cast<int>(C - at));
  }

  // Again, from the largest: the sum of this row cannot be formed without a shift.
  template <bool KEEP>
  void again(const In* z, T* e, Group<T>& group, int i) {
    V top = all<T>(-static_cast<T>(INFINITY));
    for (int64_t j = 0; j < vectors; ++j) top = larger<T>(adjusted(z, j * L, T{}), top);
    T best = lanes_max<T>(top);
    for (int64_t c = vectors * L; c < C; ++c) {
      T a = one(z + c);
      if (p.scale) a *= p.scale[c];
      if (p.offset) a += p.offset[c];
      if (a > best) best = a;
    }
    if (group.own[i] > best) best = group.own[i];
    // with a sum that is too faint beside the target, the others are what has to be seen: e^(own − shift) stays finite
    group.shift[i] = best > -static_cast<T>(INFINITY) && best < static_cast<T>(INFINITY) ? best : T{};
    row<KEEP, NOTHING>(z, e, group, i, Pending<T, In>{});
  }
};

// Rows [from, to). Returns Σ s·ω·ℓ.
template <class T, class In, bool PLAIN, bool GRADIENT, Write WRITE>
static double rows_block(const SteelyardCall& c, const Numbers<T>& p, int64_t from, int64_t to, T* scratch,
                         int64_t padded, int group_rows) {
  Rows<T, In, PLAIN> rows(p);
  Group<T> groups[2];
  Pending<T, In> pending[Wide<T>::L];
  const In* logits = static_cast<const In*>(c.logits);
  In* gradient = static_cast<In*>(c.gradient);
  int waiting = 0, turn = 0;
  double sum = 0;
  for (int64_t at = from; at < to; at += group_rows, turn ^= 1) {
    const int n = static_cast<int>(to - at < group_rows ? to - at : group_rows);
    Group<T>& group = groups[turn];
    const In* z = logits + at * c.stride_batch;
    T* e = scratch + turn * group_rows * padded;
    look_up<T, In>(c, p, group, at, n, z, c.stride_batch, 1);
    for (int i = n; i < Wide<T>::L; ++i) group.S[i] = group.sum_a[i] = T{1};
    for (int i = 0; i < n; ++i) {
      if (GRADIENT && i < waiting)
        rows.template row<GRADIENT, WRITE>(z + i * c.stride_batch, e + i * padded, group, i, pending[i]);
      else
        rows.template row<GRADIENT, NOTHING>(z + i * c.stride_batch, e + i * padded, group, i, Pending<T, In>{});
    }
    if (GRADIENT)
      for (int i = n; i < waiting; ++i) rows.template flush<WRITE>(pending[i]);
    const Mask<T> bad = outside(group);
    if (any<T>(bad))
      for (int i = 0; i < n; ++i)
        if (bad[i]) rows.template again<GRADIENT>(z + i * c.stride_batch, e + i * padded, group, i);
    finish(p, group);
    sum += take_losses(p, group, at);
    if (!GRADIENT) continue;
    for (int i = 0; i < n; ++i) {
      T* line = e + i * padded;
      pending[i] = {line, gradient + (at + i) * c.gradient_batch, group.f[i], group.k[i]};
      if (!group.keep[i])
        memset(line, 0, sizeof(T) * padded);  // an ignored row may hold NaN, which times 0 is NaN
      else if (group.f[i] != T{})
        line[group.y[i]] = (group.g[i] + group.k[i]) / group.f[i];
      else
        line[group.y[i]] = T{};
    }
    waiting = n;
  }
  if (GRADIENT)
    for (int i = 0; i < waiting; ++i) rows.template flush<WRITE>(pending[i]);
  if (WRITE == STREAMED_PAST) streams_done();
  return sum;
}

}  // namespace
