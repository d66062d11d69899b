/* ring's P-256 for x86_64 and aarch64 without its table of 148 KB, all of it random to gzip. The table
   makes a multiple of the generator four times as fast, a few of which a handshake needs, each some
   30 us. Here the generator is a point like any other. cross/cc compiles this file in place of
   p256-nistz.c, which it includes; the linker drops what nothing calls. */

#include <ring-core/base.h>

#pragma push_macro("p256_point_mul_base")
#pragma push_macro("p256_point_mul_base_vartime")
#undef p256_point_mul_base
#undef p256_point_mul_base_vartime
#define p256_point_mul_base with_the_table
#define p256_point_mul_base_vartime with_the_table_vartime
#include "p256-nistz.c"
#pragma pop_macro("p256_point_mul_base")
#pragma pop_macro("p256_point_mul_base_vartime")

/* The generator in the Montgomery domain, the first entry of the table. */
static const BN_ULONG GENERATOR_X[P256_LIMBS] = {
    TOBN(0x79e730d4, 0x18a9143c), TOBN(0x75ba95fc, 0x5fedb601),
    TOBN(0x79fb732b, 0x77622510), TOBN(0x18905f76, 0xa53755c6),
};
static const BN_ULONG GENERATOR_Y[P256_LIMBS] = {
    TOBN(0xddf25357, 0xce95560a), TOBN(0x8b4ab8e4, 0xba19e45c),
    TOBN(0xd2e88688, 0xdd21f325), TOBN(0x8571ff18, 0x25885d85),
};

void p256_point_mul_base(Limb r[3][P256_LIMBS], const Limb scalar[P256_LIMBS]) {
  p256_point_mul(r, scalar, GENERATOR_X, GENERATOR_Y);
}

void p256_point_mul_base_vartime(Limb r[3][P256_LIMBS], const Limb scalar[P256_LIMBS]) {
  p256_point_mul(r, scalar, GENERATOR_X, GENERATOR_Y);
}
