// Vectors of floats in the compiler's own portable form (GCC 12 or later, Clang), and the functions that a loss needs.
//
// VECTOR_BYTES says how wide they are; a file is compiled once per instruction set. Nothing here may leave its file:
// a function that the linker shares between two instruction sets would end up in the wrong one.

#pragma once

#include <stddef.h>

#include <utility>

namespace {

constexpr int L = VECTOR_BYTES / 4;  // lanes

typedef float F __attribute__((vector_size(VECTOR_BYTES)));
typedef int I __attribute__((vector_size(VECTOR_BYTES)));

#define INLINE inline __attribute__((always_inline))

static INLINE F all(float x) { return x - F{}; }
static INLINE F load(const float* at) { return *reinterpret_cast<const F*>(at); }
static INLINE void store(float* at, F x) { *reinterpret_cast<F*>(at) = x; }
static INLINE F either(I mask, F yes, F no) { return mask ? yes : no; }
static INLINE F larger(F a, F b) { return either(a > b, a, b); }
static INLINE F positive(F x) { return either(x > 0.0f, x, F{}); }

static INLINE float sum(F x) {
  float total = 0;
  for (int i = 0; i < L; ++i) total += x[i];
  return total;
}

// exp: x = n log 2 + r with |r| ≤ (log 2)/2, and the Taylor series of exp(r) to r⁷ (the next term is 5e-9 of the whole).
// Clamped to what a normal float can hold: exp(−1000) is 1e-38, not 0, which no sum sees. NaN stays NaN.
static INLINE F exp(F x) {
  x = either(x < -87.3f, all(-87.3f), x);
  x = either(x > 88.0f, all(88.0f), x);
  constexpr float round = 12582912.0f;  // 1.5 · 2²³: adding it leaves the nearest integer in the lowest bits
  const F shifted = x * 1.44269504f + round;
  const F n = shifted - round;
  // log 2 in two parts, the first with so few bits that n times it is exact
  const F r = (x - n * 0.693145751953125f) - n * 1.42860682030941723e-6f;
  F p = r * (1.0f / 5040) + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  return p * (F)(((I)shifted << 23) + 0x3f800000);
}

// 2 atanh(f) for |f| ≤ 1/3, by its series; the first term left out is 1e-9 of the whole.
static INLINE F twice_atanh(F f) {
  const F s = f * f;
  F p = s * (1.0f / 17) + 1.0f / 15;
  p = p * s + 1.0f / 13;
  p = p * s + 1.0f / 11;
  p = p * s + 1.0f / 9;
  p = p * s + 1.0f / 7;
  p = p * s + 1.0f / 5;
  p = p * s + 1.0f / 3;
  return 2.0f * f + 2.0f * f * s * p;
}

// log(1 + x) for 0 ≤ x ≤ 1, right to a rounding also where x is tiny.
static INLINE F log1p(F x) { return twice_atanh(x / (x + 2.0f)); }

// log of a normal positive float: the exponent, and the mantissa brought to [√½, √2).
static INLINE F log(F x) {
  const I bits = (I)x - 0x3f3504f3;  // √½
  const I exponent = bits >> 23;
  const F m = (F)((bits & 0x7fffff) + 0x3f3504f3);
  const F e = __builtin_convertvector(exponent, F);
  return e * 0.693145751953125f + (twice_atanh((m - 1.0f) / (m + 1.0f)) + e * 1.42860682030941723e-6f);
}

template <int S, int... J>
static INLINE F upper(F a, F b, std::integer_sequence<int, J...>) {
  return __builtin_shufflevector(a, b, ((J & S) ? L + J - S : J)...);
}

template <int S, int... J>
static INLINE F lower(F a, F b, std::integer_sequence<int, J...>) {
  return __builtin_shufflevector(a, b, ((J & S) ? L + J : J + S)...);
}

// Transpose L vectors of L lanes: swap the off-diagonal blocks of size 1, 2, 4, ...
template <int S = 1>
static INLINE void transpose(F (&r)[L]) {
  if constexpr (S < L) {
    constexpr auto lanes = std::make_integer_sequence<int, L>{};
#pragma GCC unroll 16
    for (int i = 0; i < L; ++i) {
      if (i & S) continue;
      const F a = r[i], b = r[i + S];
      r[i] = upper<S>(a, b, lanes);
      r[i + S] = lower<S>(a, b, lanes);
    }
    transpose<2 * S>(r);
  }
}

}  // namespace
