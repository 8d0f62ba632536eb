#version 450
// BGRX pixels to the planes that encoders take: NV12, P010, and three planes of full size in 8 or 10 bits.
// Integers only, with the factors of encode/convert.rs, so that every device gives the same samples.
// One invocation has four pixels of each of two lines: whole words are written, by nobody else.
layout(local_size_x = 16, local_size_y = 8) in;

layout(std430, binding = 0) readonly buffer Source { uint source[]; };
layout(std430, binding = 1) writeonly buffer Target { uint target[]; };

layout(push_constant) uniform Push {
    // For Y, Cb, Cr: what blue, green and red are multiplied by, and what is added; 16 bits after the point.
    ivec4 rows[3];
    uint width;
    uint height;
    // Words from one line to the next.
    uint source_stride;
    uint pitch;
    // 1: samples of 10 bits, in the high bits of 16.
    uint wide;
    // 1: chroma of full size.
    uint full;
    int highest;
};

ivec3 pixel(uint x, uint y) {
    uint word = source[min(y, height - 1) * source_stride + min(x, width - 1)];
    return ivec3(word & 255u, word >> 8 & 255u, word >> 16 & 255u);
}

// The component of the sum of 1 << shift pixels.
uint component(int row, ivec3 sum, int shift) {
    ivec4 r = rows[row];
    int value = sum.x * r.x + sum.y * r.y + sum.z * r.z + (r.w << shift) + (1 << (15 + shift));
    return uint(clamp(value >> (16 + shift), 0, highest));
}

void put(uint line, uint x, uvec4 samples) {
    if (wide == 0u) {
        target[line * pitch + x / 4u] = samples.x | samples.y << 8 | samples.z << 16 | samples.w << 24;
    } else {
        samples <<= 6;
        target[line * pitch + x / 2u] = samples.x | samples.y << 16;
        target[line * pitch + x / 2u + 1u] = samples.z | samples.w << 16;
    }
}

void main() {
    uint x = gl_GlobalInvocationID.x * 4u;
    uint y = gl_GlobalInvocationID.y * 2u;
    if (x >= width || y >= height) {
        return;
    }
    ivec3 pixels[2][4];
    for (uint line = 0u; line < 2u; line++) {
        for (uint i = 0u; i < 4u; i++) {
            pixels[line][i] = pixel(x + i, y + line);
        }
    }
    int planes = full == 1u ? 3 : 1;
    for (int plane = 0; plane < planes; plane++) {
        for (uint line = 0u; line < 2u && y + line < height; line++) {
            uvec4 samples;
            for (uint i = 0u; i < 4u; i++) {
                samples[i] = component(plane, pixels[line][i], 0);
            }
            put(uint(plane) * height + y + line, x, samples);
        }
    }
    if (full == 0u) {
        ivec3 left = pixels[0][0] + pixels[0][1] + pixels[1][0] + pixels[1][1];
        ivec3 right = pixels[0][2] + pixels[0][3] + pixels[1][2] + pixels[1][3];
        put(height + y / 2u, x, uvec4(component(1, left, 2), component(2, left, 2),
                                      component(1, right, 2), component(2, right, 2)));
    }
}
