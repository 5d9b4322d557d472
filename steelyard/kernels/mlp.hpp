// What a caller hands to the training of one network, and the instruction sets that it is compiled for.

#pragma once

namespace steelyard {

// The numbers of one loss; matrices are null where they are absent.
struct Loss {
  const float* class_weight;  // (classes): ω of a row of that class
  const float* scale;         // (classes): Δ
  const float* offset;        // (classes): ι
  const float* margin;        // (classes): m
  const float* pairwise;      // (classes, classes)[truth, class]: Λ
  const float* cost;          // (classes, classes)[truth, decision]: λ M
  float gamma;
  float smoothing;
  float share;  // the gradient's constant factor: one over the denominator
};

struct Rows {
  const float* X;       // (n, features)
  const int* y;         // (n)
  const float* weight;  // (n), or null where all are 1
  long n;
};

struct Task {
  Rows train;
  Rows held;           // n = 0: no early stopping
  const int* stream;   // (steps, batch): rows of each step
  long steps, batch;
  const long* sizes;   // (layers + 1): features, widths, classes
  long layers;
  float* parameters;   // in: where training starts; out: where it ends. Layer after layer: weights (in, out), bias (out)
  float* gradient;     // not null: of the first step, laid out as the parameters, and nothing is trained
  Loss loss[2];        // before and after the change
  bool changes;        // whether there is one
  long defer;          // the step, or with early stopping the epoch, after which it comes
  bool cosine;         // the last layer gives cosines
  double rate, decay;
  long every, patience;   // early stopping: steps of an epoch, epochs to wait
  const int* stop;        // not 0: give up
  long epochs;            // out: how many, with early stopping
  bool ended;             // out: whether the run ended by itself
};

// False: not enough memory, or given up.
typedef bool Train(Task&);
Train train_baseline;
Train train_avx2;
Train train_avx512;

}  // namespace steelyard
