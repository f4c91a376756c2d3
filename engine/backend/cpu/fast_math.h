// Elementary functions on vectors, within 2 units in the last place of the exact result over the range that matters
// here.
#pragma once

namespace millrace::engine::cpu::fast {

// e^x by x = n ln 2 + r and a polynomial in r (Cephes' coefficients); 0 below -87.3, where a float would be subnormal,
// infinity is not reached: x is clamped at 88.3.
template <class S>
[[gnu::always_inline]] inline typename S::Vec exp(typename S::Vec x) {
  using Vec = typename S::Vec;
  x = S::min(S::all(88.3F), x);  // operands in this order keep a NaN
  x = S::max(S::all(-87.3F), x);
  Vec n = S::round(S::mul(x, S::all(1.44269504088896341F)));
  Vec r = S::fma(n, S::all(-0.693359375F), x);
  r = S::fma(n, S::all(2.12194440e-4F), r);
  Vec p = S::all(1.9875691500e-4F);
  p = S::fma(p, r, S::all(1.3981999507e-3F));
  p = S::fma(p, r, S::all(8.3334519073e-3F));
  p = S::fma(p, r, S::all(4.1665795894e-2F));
  p = S::fma(p, r, S::all(1.6666665459e-1F));
  p = S::fma(p, r, S::all(5.0000001201e-1F));
  p = S::fma(p, S::mul(r, r), S::add(r, S::all(1.0F)));
  return S::scale_by_power(p, n);
}

template <class S>
[[gnu::always_inline]] inline typename S::Vec sigmoid(typename S::Vec x) {
  return S::div(S::all(1.0F), S::add(S::all(1.0F), exp<S>(S::sub(S::zero(), x))));
}

template <class S>
[[gnu::always_inline]] inline typename S::Vec silu(typename S::Vec x) {
  return S::div(x, S::add(S::all(1.0F), exp<S>(S::sub(S::zero(), x))));
}

// body(offset, lanes) for each vector of `count` floats; lanes is kWidth except perhaps for the last.
template <class S, class Body>
[[gnu::always_inline]] inline void for_vectors(long count, const Body& body) {
  long i = 0;
  for (; i + S::kWidth <= count; i += S::kWidth) body(i, S::kWidth);
  if (i < count) body(i, static_cast<int>(count - i));
}

}  // namespace millrace::engine::cpu::fast
