// Both convolution, bias, pool, ReLU pairs of LeNet-5 for float32 images, forward and backward.
//
// conv 5x5 valid, 1 to 6 channels; max pool 2x2; ReLU; conv 5x5 valid, 6 to 16; pool; ReLU.
//
// An image goes through both pairs in one thread, so that what lies between stays in its cache.
// Forward, all four convolution values under a pooled one are held in registers, and only the
// greatest leaves them. The first pair computes some pixels of a row at once, the second all 16
// channels of a pixel. Backward, a pooled value passes its gradient to one position of four, and
// to none where ReLU gave 0: only those are visited. Channels lie innermost between the pairs, so
// that a line of a 5x5 patch is 30 numbers in sequence.
//
// Ties and NaN are decided as torch does: the first of equals, and NaN before all.
// Sums over images are made in an order that does not depend on the number of threads.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#ifdef _OPENMP
extern "C" int omp_get_thread_num(void);
#else
static int omp_get_thread_num() { return 0; }
#endif

namespace {

#if defined(__AVX512F__)
constexpr int kLanes = 16, kGroup = 6, kMaxBlock = 7;  // 32 registers
#elif defined(__AVX__)
constexpr int kLanes = 8, kGroup = 3, kMaxBlock = 3;  // 16 registers
#else
constexpr int kLanes = 4, kGroup = 3, kMaxBlock = 3;
#endif

constexpr int kTaps = 5;
constexpr int kMiddle = 6;    // channels between the pairs
constexpr int kOut = 16;      // channels after them
constexpr int kLine = kTaps * kMiddle;  // numbers in one line of a patch
constexpr int kWide = 32;     // the same with room to load whole vectors
constexpr int kPatch = kTaps * kWide;
constexpr int kMiddlePad = 128;  // numbers behind the last that may be read or written
constexpr uint8_t kDead = 4;  // which of the four was greatest; kDead where ReLU gave 0
constexpr int kBandBytes = 20000;  // of the middle layer, in the innermost cache twice
constexpr int kStreams = 8;
// Numbers of one image's share in the gradients: weights and biases of either pair
constexpr int kShare1 = kMiddle * kTaps * 8, kShare2 = kOut * kPatch;
constexpr int kShare = kShare1 + kMiddle + kShare2 + kOut + 10;

typedef float Lanes __attribute__((vector_size(4 * kLanes)));
typedef float LooseLanes __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));
typedef int32_t IntLanes __attribute__((vector_size(4 * kLanes)));
typedef uint8_t ByteLanes __attribute__((vector_size(kLanes)));
typedef uint8_t LooseByteLanes __attribute__((vector_size(kLanes), aligned(1), may_alias));
typedef float Eight __attribute__((vector_size(32)));
typedef float LooseEight __attribute__((vector_size(32), aligned(4), may_alias));

inline Lanes load(const float* from) { return *reinterpret_cast<const LooseLanes*>(from); }
inline void store(float* to, Lanes value) { *reinterpret_cast<LooseLanes*>(to) = value; }
// x - 0 is x, also for -0, so that nothing is left of it but a broadcast
inline Lanes fill(float value) { return value - Lanes{}; }

struct Shape {
  int side, middle, out;  // pixels a side of the image, between the pairs, and after them
  int half;               // columns of the image in one of its two halves, padded
  size_t middle_stride, codes1_stride;
  explicit Shape(int side) : side(side) {
    middle = (side - 4) / 2;
    out = (middle - 4) / 2;
    half = (side + 1) / 2 + 2 * kLanes;
    middle_stride = (static_cast<size_t>(middle) * middle * kMiddle + kMiddlePad + 15) / 16 * 16;
    codes1_stride = static_cast<size_t>(middle) * middle * kMiddle;
  }
};

// Memory of one thread that lives as long as it does.
class Scratch {
 public:
  ~Scratch() { std::free(memory_); }
  template <typename T>
  T* take(size_t count) {
    size_t bytes = (count * sizeof(T) + 127) / 64 * 64;
    if (bytes > size_) {
      std::free(memory_);
      memory_ = std::aligned_alloc(64, bytes);
      if (memory_ == nullptr) std::abort();
      size_ = bytes;
    }
    return static_cast<T*>(memory_);
  }

 private:
  void* memory_ = nullptr;
  size_t size_ = 0;
};
thread_local Scratch halves_scratch, pixels_scratch, codes_scratch, gradient_scratch, list_scratch,
    middle_scratch;

// Keep in `best` the greater of it and `value`, in `code` whose it is; the first of equals.
inline void keep_greater(Lanes& best, IntLanes& code, Lanes value, int number) {
  IntLanes better = (value > best) | (value != value);
  best = better ? value : best;
  code = better ? IntLanes{} + number : code;
}

// Add the bias and apply ReLU; where it gives 0 the code becomes kDead. NaN stays NaN.
inline void finish(Lanes& best, IntLanes& code, Lanes bias) {
  best += bias;
  IntLanes dead = best <= 0.0f;
  best = dead ? Lanes{} : best;
  code = dead ? IntLanes{} + int(kDead) : code;
}

// Even and odd columns of an image apart, (side, 2, half).
void split_columns(const float* image, const Shape& shape, float* halves) {
  for (int y = 0; y < shape.side; ++y, image += shape.side, halves += 2 * shape.half) {
    float *even = halves, *odd = halves + shape.half;
    for (int x = 0; x < shape.side / 2; ++x) {
      even[x] = image[2 * x];
      odd[x] = image[2 * x + 1];
    }
    if (shape.side % 2) even[shape.side / 2] = image[shape.side - 1];
  }
}

// First pair: image (side, side) to middle (Y, X, 6), and which of four was greatest (6, Y, X).
// weights are (5, 5, 6).
void forward_first(const float* image, const Shape& shape, const float* weights, const float* bias,
                   float* middle, uint8_t* codes) {
  const int half = shape.half, size = shape.middle;
  float* halves = halves_scratch.take<float>(static_cast<size_t>(shape.side) * 2 * half + 64);
  split_columns(image, shape, halves);
  for (int y = 0; y < size; ++y) {
    for (int x = 0; x < size; x += kLanes) {
      alignas(64) float values[kMiddle][kLanes];
      for (int first = 0; first < kMiddle; first += kGroup) {
        Lanes sums[4][kGroup] = {};
        const float* row = halves + static_cast<size_t>(2 * y) * 2 * half + x;
        const float* weight = weights + first;
        for (int ky = 0; ky < kTaps; ++ky, row += 2 * half) {
          for (int kx = 0; kx < kTaps; ++kx, weight += kMiddle) {
            const float* left = row + (kx % 2) * half + kx / 2;
            const float* right = row + ((kx + 1) % 2) * half + (kx + 1) / 2;
            Lanes four[4] = {load(left), load(right), load(left + 2 * half),
                             load(right + 2 * half)};
#pragma GCC unroll 6
            for (int c = 0; c < kGroup; ++c) {
              Lanes one = fill(weight[c]);
#pragma GCC unroll 4
              for (int k = 0; k < 4; ++k) sums[k][c] += four[k] * one;
            }
          }
        }
#pragma GCC unroll 6
        for (int c = 0; c < kGroup; ++c) {
          Lanes best = sums[0][c];
          IntLanes code = {};
          for (int k = 1; k < 4; ++k) keep_greater(best, code, sums[k][c], k);
          finish(best, code, fill(bias[first + c]));
          store(values[first + c], best);
          ByteLanes bytes = __builtin_convertvector(code, ByteLanes);
          const int n_left = std::min(kLanes, size - x);
          uint8_t* target = codes + (static_cast<size_t>(first + c) * size + y) * size + x;
          if (n_left == kLanes)
            *reinterpret_cast<LooseByteLanes*>(target) = bytes;
          else
            std::memcpy(target, &bytes, n_left);
        }
      }
      // What is too much at the end of a line is overwritten by the next, or lies in the padding.
      float* target = middle + (static_cast<size_t>(y) * size + x) * kMiddle;
      for (int i = 0; i < kLanes; ++i)
        for (int c = 0; c < kMiddle; ++c) target[i * kMiddle + c] = values[c][i];
    }
  }
}

// kBlock neighbouring pooled pixels of the second pair, kLanes channels from `first` on.
// weights are (5, 30, 16); pixels are (.., 16) and so are codes.
template <int kBlock>
void forward_block(const float* middle, size_t line, const float* weights, Lanes bias,
                   float* pixels, uint8_t* codes) {
  Lanes sums[2][2 * kBlock] = {};
  for (int ky = 0; ky < kTaps; ++ky, middle += line) {
    const float* upper = middle;
    const float* lower = middle + line;
    for (int tap = 0; tap < kLine; ++tap, weights += kOut, ++upper, ++lower) {
      Lanes weight = load(weights);
#pragma GCC unroll 14
      for (int i = 0; i < 2 * kBlock; ++i) {
        sums[0][i] += fill(upper[i * kMiddle]) * weight;
        sums[1][i] += fill(lower[i * kMiddle]) * weight;
      }
    }
  }
#pragma GCC unroll 7
  for (int i = 0; i < kBlock; ++i) {
    Lanes best = sums[0][2 * i];
    IntLanes code = {};
    keep_greater(best, code, sums[0][2 * i + 1], 1);
    keep_greater(best, code, sums[1][2 * i], 2);
    keep_greater(best, code, sums[1][2 * i + 1], 3);
    finish(best, code, bias);
    store(pixels + i * kOut, best);
    *reinterpret_cast<LooseByteLanes*>(codes + i * kOut) = __builtin_convertvector(code, ByteLanes);
  }
}

using BlockFunction = void (*)(const float*, size_t, const float*, Lanes, float*, uint8_t*);
constexpr BlockFunction kBlocks[] = {nullptr,
                                     forward_block<1>,
                                     forward_block<2>,
                                     forward_block<3>,
#if defined(__AVX512F__)
                                     forward_block<4>,
                                     forward_block<5>,
                                     forward_block<6>,
                                     forward_block<7>
#endif
};

// (rows, 16) to (16, rows)
template <typename T>
void turn(const T* from, int rows, T* to) {
  constexpr int kTile = 16;
  for (int start = 0; start < rows; start += kTile) {
    const int n = std::min(kTile, rows - start);
    for (int c = 0; c < kOut; ++c)
      for (int i = 0; i < n; ++i)
        to[static_cast<size_t>(c) * rows + start + i] = from[(start + i) * kOut + c];
  }
}

// Second pair: middle (Y, X, 6) to out (16, Y', X') and which of four was greatest, the same.
void forward_second(const float* middle, const Shape& shape, const float* weights,
                    const float* bias, float* out, uint8_t* codes) {
  const int size = shape.out;
  const size_t line = static_cast<size_t>(shape.middle) * kMiddle;
  float* pixels = pixels_scratch.take<float>(static_cast<size_t>(size) * size * kOut);
  uint8_t* pixel_codes = codes_scratch.take<uint8_t>(static_cast<size_t>(size) * size * kOut);
  const int n_blocks = (size + kMaxBlock - 1) / kMaxBlock;
  for (int y = 0; y < size; ++y) {
    for (int block = 0; block < n_blocks; ++block) {
      const int x = block * size / n_blocks, end = (block + 1) * size / n_blocks;
      for (int first = 0; first < kOut; first += kLanes) {
        const size_t target = (static_cast<size_t>(y) * size + x) * kOut + first;
        kBlocks[end - x](middle + 2 * y * line + 2 * x * kMiddle, line, weights + first,
                         load(bias + first), pixels + target, pixel_codes + target);
      }
    }
  }
  turn(pixels, size * size, out);
  turn(pixel_codes, size * size, codes);
}

struct Entry {
  int32_t offset;  // of the patch in the middle layer
  float gradient;
};

// Those positions of one channel whose gradient counts, in `rows` pooled rows from `y` on.
int list_active(const float* gradient, const uint8_t* codes, const Shape& shape, int y, int rows,
                Entry* list) {
  const int size = shape.out, line = shape.middle * kMiddle;
  const int offsets[4] = {0, kMiddle, line, line + kMiddle};
  int n = 0;
  for (int row = y; row < y + rows; ++row) {
    for (int x = 0; x < size; ++x) {
      const int code = codes[row * size + x];
      list[n] = {2 * row * line + 2 * x * kMiddle + offsets[code & 3], gradient[row * size + x]};
      n += code != kDead;
    }
  }
  return n;
}

typedef float Sixteen __attribute__((vector_size(64)));
typedef float LooseSixteen __attribute__((vector_size(64), aligned(4), may_alias));

// One channel of the second pair: the gradient of its weights (5, 32) and of the middle layer.
void backward_channel(const Entry* list, int n, const float* middle, size_t line,
                      const float* weights, float* weight_gradient, float* middle_gradient) {
  Sixteen sums[2 * kTaps], weight[2 * kTaps];
  for (int i = 0; i < 2 * kTaps; ++i) {
    weight[i] = *reinterpret_cast<const LooseSixteen*>(weights + 16 * i);
    sums[i] = *reinterpret_cast<const LooseSixteen*>(weight_gradient + 16 * i);
  }
  auto visit = [&](const Entry& entry) {
    const float* from = middle + entry.offset;
    float* to = middle_gradient + entry.offset;
    const Sixteen gradient = entry.gradient - Sixteen{};
#pragma GCC unroll 10
    for (int i = 0; i < 2 * kTaps; ++i) {
      const size_t at = (i / 2) * line + (i % 2) * 16;
      sums[i] += *reinterpret_cast<const LooseSixteen*>(from + at) * gradient;
      LooseSixteen* target = reinterpret_cast<LooseSixteen*>(to + at);
      *target = *target + weight[i] * gradient;
    }
  };
  // Neighbours write to the same place: between two of them come others, which need not wait.
  const int length = n / kStreams;
  for (int i = 0; i < length; ++i)
    for (int stream = 0; stream < kStreams; ++stream) visit(list[stream * length + i]);
  for (int i = kStreams * length; i < n; ++i) visit(list[i]);
  for (int i = 0; i < 2 * kTaps; ++i)
    *reinterpret_cast<LooseSixteen*>(weight_gradient + 16 * i) = sums[i];
}

// Second pair: gradient (16, Y', X') to that of weights (16, 5, 32), biases and middle (Y, X, 6).
void backward_second(const float* gradient, const uint8_t* codes, const float* middle,
                     const Shape& shape, const float* weights, float* weight_gradient,
                     float* bias_gradient, float* middle_gradient) {
  const int size = shape.out;
  const size_t line = static_cast<size_t>(shape.middle) * kMiddle;
  std::memset(middle_gradient, 0, shape.middle_stride * sizeof(float));
  const int rows = std::max(1, std::min<int>(size, kBandBytes / (2 * line * sizeof(float))));
  Entry* list = list_scratch.take<Entry>(static_cast<size_t>(rows) * size + 1);
  for (int y = 0; y < size; y += rows) {
    for (int c = 0; c < kOut; ++c) {
      const size_t plane = static_cast<size_t>(c) * size * size;
      const int n = list_active(gradient + plane, codes + plane, shape, y,
                                std::min(rows, size - y), list);
      for (int i = 0; i < n; ++i) bias_gradient[c] += list[i].gradient;
      backward_channel(list, n, middle, line, weights + c * kPatch,
                       weight_gradient + c * kPatch, middle_gradient);
    }
  }
}

// First pair: gradient (Y, X, 6) to that of weights (6, 5, 8) and biases.
void backward_first(const float* gradient, const uint8_t* codes, const float* image,
                    const Shape& shape, float* weight_gradient, float* bias_gradient) {
  const int size = shape.middle, side = shape.side;
  const int offsets[4] = {0, 1, side, side + 1};
  Entry* list = list_scratch.take<Entry>(static_cast<size_t>(size) * size + 1);
  // A line of a patch is loaded as eight numbers: three too many, behind the last image perhaps
  float* copy = halves_scratch.take<float>(static_cast<size_t>(side) * side + 16);
  std::memcpy(copy, image, sizeof(float) * side * side);
  std::memset(copy + static_cast<size_t>(side) * side, 0, 16 * sizeof(float));
  for (int c = 0; c < kMiddle; ++c) {
    const uint8_t* plane = codes + static_cast<size_t>(c) * size * size;
    int n = 0;
    for (int y = 0; y < size; ++y) {
      for (int x = 0; x < size; ++x) {
        const int code = plane[y * size + x];
        list[n] = {2 * y * side + 2 * x + offsets[code & 3],
                   gradient[(static_cast<size_t>(y) * size + x) * kMiddle + c]};
        n += code != kDead;
      }
    }
    Eight even[kTaps] = {}, odd[kTaps] = {};  // two sums, neither waits for the other
    float sum = 0;
    list[n] = {0, 0.0f};
    for (int i = 0; i < n; i += 2) {
      const Eight first = list[i].gradient - Eight{}, second = list[i + 1].gradient - Eight{};
      for (int ky = 0; ky < kTaps; ++ky) {
        even[ky] +=
            *reinterpret_cast<const LooseEight*>(copy + list[i].offset + ky * side) * first;
        odd[ky] +=
            *reinterpret_cast<const LooseEight*>(copy + list[i + 1].offset + ky * side) * second;
      }
      sum += list[i].gradient + list[i + 1].gradient;
    }
    for (int ky = 0; ky < kTaps; ++ky)
      *reinterpret_cast<LooseEight*>(weight_gradient + (c * kTaps + ky) * 8) += even[ky] + odd[ky];
    bias_gradient[c] += sum;
  }
}

}  // namespace

extern "C" {

int vector_lanes() { return kLanes; }

// Numbers between two images of the middle layer, and bytes between two of its codes.
int64_t middle_stride(int side) { return Shape(side).middle_stride; }
int64_t codes_stride(int side) { return Shape(side).codes1_stride; }

// images (n, side, side), weights as torch has them (6, 1, 5, 5), (6,), (16, 6, 5, 5), (16,)
// -> out (n, 16, Y', X'); for the gradients also middle (n, middle_stride), which of four was
// greatest in either pair, codes1 (n, 6, Y, X) and codes2 (n, 16, Y', X'); null if none are wanted.
void forward(const float* images, int64_t n, int side, const float* weights1, const float* bias1,
             const float* weights2, const float* bias2, float* out, float* middle, uint8_t* codes1,
             uint8_t* codes2, int n_threads) {
  const Shape shape(side);
  alignas(64) float first[kTaps * kTaps * kMiddle], second[kTaps * kLine * kOut];
  for (int c = 0; c < kMiddle; ++c)
    for (int k = 0; k < kTaps * kTaps; ++k) first[k * kMiddle + c] = weights1[c * 25 + k];
  for (int o = 0; o < kOut; ++o)
    for (int c = 0; c < kMiddle; ++c)
      for (int k = 0; k < kTaps * kTaps; ++k)
        second[(k * kMiddle + c) * kOut + o] = weights2[(o * kMiddle + c) * 25 + k];
  const size_t n_out = static_cast<size_t>(kOut) * shape.out * shape.out;
#pragma omp parallel for schedule(dynamic) num_threads(n_threads)
  for (int64_t i = 0; i < n; ++i) {
    float* between = middle;
    uint8_t *which1 = codes1, *which2 = codes2;
    if (middle != nullptr) {
      between += i * shape.middle_stride;
      which1 += i * shape.codes1_stride;
      which2 += i * n_out;
    } else {
      between = middle_scratch.take<float>(shape.middle_stride);
      which1 = gradient_scratch.take<uint8_t>(shape.codes1_stride + n_out);
      which2 = which1 + shape.codes1_stride;
    }
    forward_first(images + i * side * side, shape, first, bias1, between, which1);
    std::memset(between + shape.codes1_stride, 0, kMiddlePad * sizeof(float));
    forward_second(between, shape, second, bias2, out + i * n_out, which2);
  }
}

// gradient (n, 16, Y', X') -> gradients of weights and biases, in torch's shapes. 0 if memory
// is short.
int backward(const float* images, int64_t n, int side, const float* weights2, const float* middle,
             const uint8_t* codes1, const uint8_t* codes2, const float* gradient,
             float* weights1_gradient, float* bias1_gradient, float* weights2_gradient,
             float* bias2_gradient, int n_threads) {
  const Shape shape(side);
  alignas(64) float second[kOut * kPatch] = {};
  for (int o = 0; o < kOut; ++o)
    for (int c = 0; c < kMiddle; ++c)
      for (int k = 0; k < kTaps * kTaps; ++k)
        second[o * kPatch + k / kTaps * kWide + k % kTaps * kMiddle + c] =
            weights2[(o * kMiddle + c) * 25 + k];
  const size_t n_out = static_cast<size_t>(kOut) * shape.out * shape.out;
  const int64_t n_shares = std::min<int64_t>(n, 64);
  float* shares = static_cast<float*>(std::calloc(n_shares * kShare, sizeof(float)));
  if (shares == nullptr) return 0;
#pragma omp parallel for schedule(dynamic) num_threads(n_threads)
  for (int64_t share = 0; share < n_shares; ++share) {
    float* weight1 = shares + share * kShare;
    float *bias1 = weight1 + kShare1, *weight2 = bias1 + kMiddle, *bias2 = weight2 + kShare2;
    for (int64_t i = share * n / n_shares; i < (share + 1) * n / n_shares; ++i) {
      float* between = gradient_scratch.take<float>(shape.middle_stride);
      backward_second(gradient + i * n_out, codes2 + i * n_out, middle + i * shape.middle_stride,
                      shape, second, weight2, bias2, between);
      backward_first(between, codes1 + i * shape.codes1_stride, images + i * side * side, shape,
                     weight1, bias1);
    }
  }
  for (int64_t share = 1; share < n_shares; ++share)
    for (int i = 0; i < kShare; ++i) shares[i] += shares[share * kShare + i];
  const float *bias1 = shares + kShare1, *weight2 = bias1 + kMiddle, *bias2 = weight2 + kShare2;
  for (int c = 0; c < kMiddle; ++c)
    for (int k = 0; k < kTaps * kTaps; ++k)
      weights1_gradient[c * 25 + k] = shares[(c * kTaps + k / kTaps) * 8 + k % kTaps];
  std::memcpy(bias1_gradient, bias1, sizeof(float) * kMiddle);
  for (int o = 0; o < kOut; ++o)
    for (int c = 0; c < kMiddle; ++c)
      for (int k = 0; k < kTaps * kTaps; ++k)
        weights2_gradient[(o * kMiddle + c) * 25 + k] =
            weight2[o * kPatch + k / kTaps * kWide + k % kTaps * kMiddle + c];
  std::memcpy(bias2_gradient, bias2, sizeof(float) * kOut);
  std::free(shares);
  return 1;
}
}
