// The handler of xla.cpp: takes and returns what XLA's foreign function interface says, by address.

#pragma once

extern "C" void* steelyard_xla(void* frame);
