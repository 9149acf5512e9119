// SPDX-License-Identifier: Apache-2.0
#ifndef SYNCLINE_CCHECKSUM_H
#define SYNCLINE_CCHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/// CRC-32C (Castagnoli, RFC 3720 appendix B.4). Give 0 first, then the last result to go on.
/// Uses the processor's instruction where it has one (SSE 4.2, ARMv8 CRC), a table elsewhere.
uint32_t syncline_crc32c(uint32_t crc, const void *bytes, size_t count);

/// The table-driven form, for testing the other against.
uint32_t syncline_crc32c_portable(uint32_t crc, const void *bytes, size_t count);

#endif
