// What no loss can be faster than: the same bytes read and written, plainly and with an exponential in between.
// Compiled for this machine by floors.py; an exponential of degree 5 (1e-7), as a loss in float32 needs it.

#include <cstdint>
#include <cstring>

namespace {

inline float from(float x) { return x; }
inline float from(uint16_t x) {
  uint32_t bits = static_cast<uint32_t>(x) << 16;
  float out;
  std::memcpy(&out, &bits, 4);
  return out;
}
inline void to(float x, float* out) { *out = x; }
inline void to(float x, uint16_t* out) {
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  *out = static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

inline float exponential(float x) {
  x = x < -87.0f ? -87.0f : x > 88.0f ? 88.0f : x;
  const float shifted = x * 1.44269504f + 12582912.0f;  // the nearest integer in the last bits
  const float n = shifted - 12582912.0f;
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  uint32_t bits;
  std::memcpy(&bits, &p, 4);
  bits += static_cast<uint32_t>(static_cast<int32_t>(n)) << 23;
  std::memcpy(&p, &bits, 4);
  return p;
}

constexpr int64_t PIECE = 1 << 18;

template <class T>
void exponentials(const T* in, T* out, int64_t n) {
#pragma omp parallel for schedule(static)
  for (int64_t begin = 0; begin < n; begin += PIECE) {
    const int64_t end = begin + PIECE < n ? begin + PIECE : n;
    for (int64_t i = begin; i < end; ++i) to(exponential(from(in[i])), out + i);
  }
}

}  // namespace

extern "C" {

void copy_bytes(const char* in, char* out, int64_t n, int64_t threads) {
  if (threads <= 1) {
    std::memcpy(out, in, n);
    return;
  }
#pragma omp parallel for schedule(static)
  for (int64_t part = 0; part < threads; ++part)
    std::memcpy(out + n * part / threads, in + n * part / threads, n * (part + 1) / threads - n * part / threads);
}
void exp_float32(const float* in, float* out, int64_t n) { exponentials(in, out, n); }
void exp_bfloat16(const uint16_t* in, uint16_t* out, int64_t n) { exponentials(in, out, n); }
}
