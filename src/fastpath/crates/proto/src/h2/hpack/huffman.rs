//! The Huffman code of RFC 7541 appendix B. It is canonical, so the lengths say it all: every
//! table below is made of them by the compiler.

use super::HpackError;

/// Bits of each symbol's code; the last is EOS.
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

const EOS: usize = 256;
const LONGEST: usize = 30;
const SHORTEST: usize = 5;

/// Bits that one step of the decoder looks at; the two symbols of a step have 10 at least.
const STEP: usize = 11;
/// What the decoder may write beyond the symbols it takes.
const SLACK: usize = 2;

/// The code words from the shortest on; within a length they count up with the symbol.
struct Canonical {
    /// Symbols in the order of their codes.
    symbols: [u16; 257],
    /// By length: where its symbols begin.
    offset: [u16; LONGEST + 1],
    /// By length: its first code.
    first: [u32; LONGEST + 1],
    /// By length: the first code that is longer, at the top of 32 bits. 0: none is.
    limit: [u32; LONGEST + 1],
}

static CANONICAL: Canonical = CANONICAL_CODE;
const CANONICAL_CODE: Canonical = canonical();

#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)] // by the compiler
const fn canonical() -> Canonical {
    let mut made = Canonical {
        symbols: [0; 257],
        offset: [0; LONGEST + 1],
        first: [0; LONGEST + 1],
        limit: [0; LONGEST + 1],
    };
    let (mut len, mut at, mut code) = (1, 0, 0u64);
    while len <= LONGEST {
        code <<= 1;
        made.first[len] = code as u32;
        made.offset[len] = at as u16;
        let mut symbol = 0;
        while symbol <= EOS {
            if LENGTHS[symbol] as usize == len {
                made.symbols[at] = symbol as u16;
                at += 1;
                code += 1;
            }
            symbol += 1;
        }
        made.limit[len] = (code << (32 - len)) as u32;
        len += 1;
    }
    assert!(at == 257 && code == 1 << LONGEST);
    made
}

/// Code and its length by byte.
static CODES: [(u32, u32); 256] = codes();

#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)] // by the compiler
const fn codes() -> [(u32, u32); 256] {
    let canonical = CANONICAL_CODE;
    let mut codes = [(0, 0); 256];
    let mut at = 0;
    while at < canonical.symbols.len() {
        let symbol = canonical.symbols[at] as usize;
        if symbol != EOS {
            let len = LENGTHS[symbol] as usize;
            let code = canonical.first[len] + (at as u32 - canonical.offset[len] as u32);
            codes[symbol] = (code, len as u32);
        }
        at += 1;
    }
    codes
}

/// What the next `STEP` bits begin with: one or two whole symbols, or a longer one.
#[derive(Clone, Copy)]
struct Step {
    symbols: [u8; 2],
    /// Bits of the first, 0 if it is longer than `STEP`.
    first: u8,
    /// Bits of both, or of the first where there is no room for two. If there are two, bit 7.
    all: u8,
}

const TWO: u8 = 0x80;

static STEPS: [Step; 1 << STEP] = steps();

#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)] // by the compiler
const fn steps() -> [Step; 1 << STEP] {
    let codes = codes();
    let mut steps = [Step {
        symbols: [0; 2],
        first: 0,
        all: 0,
    }; 1 << STEP];
    let mut symbol = 0;
    while symbol < 256 {
        let (code, len) = codes[symbol];
        if len as usize <= STEP {
            let room = STEP - len as usize;
            let mut rest = 0;
            while rest < 1 << room {
                let step = &mut steps[((code as usize) << room) | rest];
                step.symbols[0] = symbol as u8;
                step.first = len as u8;
                step.all = len as u8;
                rest += 1;
            }
        }
        symbol += 1;
    }
    // The second symbol is the first of what is left, if that is whole.
    let mut bits = 0;
    while bits < 1 << STEP {
        let first = steps[bits].first;
        if first > 0 {
            let next = steps[(bits << first) & ((1 << STEP) - 1)];
            if next.first > 0 && (first + next.first) as usize <= STEP {
                steps[bits].symbols[1] = next.symbols[0];
                steps[bits].all = (first + next.first) | TWO;
            }
        }
        bits += 1;
    }
    steps
}

/// Decodes a string of at most `max` bytes into `scratch`, which is only ever grown.
pub(super) fn decode<'a>(
    input: &[u8],
    scratch: &'a mut Vec<u8>,
    max: usize,
) -> Result<&'a [u8], HpackError> {
    let most = (input.len().saturating_mul(8) / SHORTEST).min(max);
    let needed = most.saturating_add(SLACK);
    if scratch.len() < needed {
        scratch.resize(needed, 0);
    }
    let out = scratch.get_mut(..needed).unwrap_or_default();
    let len = decode_into(input, out)?;
    if len > max {
        return Err(HpackError::TooLong);
    }
    Ok(scratch.get(..len).unwrap_or_default())
}

/// Bits not taken yet, at the top of a word.
struct Bits {
    word: u64,
    count: u32,
}

impl Bits {
    #[inline(always)]
    fn step(&self) -> Step {
        let at = (self.word >> 64usize.wrapping_sub(STEP)) as usize;
        #[allow(clippy::indexing_slicing)] // STEP bits cannot leave a table of 1 << STEP
        STEPS[at % (1 << STEP)]
    }

    /// `n`: fewer than there are.
    #[inline(always)]
    fn drop(&mut self, n: u32) {
        self.word = self.word.wrapping_shl(n);
        self.count = self.count.wrapping_sub(n);
    }

    /// A symbol of any length and its bits: the first length whose codes go that far.
    #[cold]
    fn symbol(&self) -> (usize, u32) {
        let code = (self.word >> 32) as u32;
        let len = (SHORTEST..LONGEST)
            .find(|len| CANONICAL.limit.get(*len).is_some_and(|limit| code < *limit))
            .unwrap_or(LONGEST);
        let first = CANONICAL.first.get(len).copied().unwrap_or_default();
        let offset = CANONICAL.offset.get(len).copied().unwrap_or_default();
        let nth = (code >> 32usize.wrapping_sub(len)).wrapping_sub(first) as usize;
        let symbol = CANONICAL.symbols.get(nth.wrapping_add(usize::from(offset)));
        (symbol.map_or(EOS, |s| usize::from(*s)), len as u32)
    }
}

/// The number of bytes written; `TooLong` when `out` is full.
fn decode_into(mut input: &[u8], out: &mut [u8]) -> Result<usize, HpackError> {
    let mut bits = Bits { word: 0, count: 0 };
    let mut at = 0usize; // at most out.len()
    let mut put = |symbols: [u8; 2], count: usize| {
        let place = out.get_mut(at..).and_then(|o| o.first_chunk_mut::<2>());
        *place.ok_or(HpackError::TooLong)? = symbols;
        at = at.wrapping_add(count);
        Ok(())
    };
    // As long as there are 8 bytes: four steps for each refill.
    while let Some(next) = input.first_chunk::<8>() {
        bits.word |= u64::from_be_bytes(*next) >> bits.count;
        let bytes = 63u32.wrapping_sub(bits.count) / 8; // count is below 64
        input = input.get(bytes as usize..).unwrap_or_default();
        bits.count |= 56;
        for nth in 0..4 {
            let step = bits.step();
            if step.first == 0 {
                if nth == 0 {
                    let (symbol, len) = bits.symbol();
                    let symbol = u8::try_from(symbol).map_err(|_| HpackError::BadHuffman)?;
                    put([symbol, 0], 1)?;
                    bits.drop(len);
                }
                break;
            }
            put(
                step.symbols,
                1usize.wrapping_add(usize::from(step.all >> 7)),
            )?;
            bits.drop(u32::from(step.all & !TWO));
        }
    }
    // The bits of a ninth byte that the last refill brought along come again.
    bits.word &= !u64::MAX.checked_shr(bits.count).unwrap_or_default();
    loop {
        while bits.count <= 56
            && let Some((byte, rest)) = input.split_first()
        {
            bits.word |= u64::from(*byte) << 56u32.wrapping_sub(bits.count);
            bits.count = bits.count.wrapping_add(8);
            input = rest;
        }
        if input.is_empty() {
            // All ones, as the padding: no code but EOS looks like that.
            bits.word |= u64::MAX.checked_shr(bits.count).unwrap_or_default();
        }
        let step = bits.step();
        let both = u32::from(step.all & !TWO);
        if step.first != 0 && both <= bits.count {
            put(
                step.symbols,
                1usize.wrapping_add(usize::from(step.all >> 7)),
            )?;
            bits.drop(both);
            continue;
        }
        let (symbol, len) = match step.first {
            0 => bits.symbol(),
            first => (usize::from(step.symbols[0]), u32::from(first)),
        };
        if len > bits.count {
            break;
        }
        let symbol = u8::try_from(symbol).map_err(|_| HpackError::BadHuffman)?;
        put([symbol, 0], 1)?;
        bits.drop(len);
    }
    // Less than a byte, all ones (§5.2): with the ones that follow, the whole word.
    if bits.count > 7 || bits.word != u64::MAX {
        return Err(HpackError::BadHuffman);
    }
    Ok(at)
}

/// Bytes that `encode` appends.
#[inline]
pub(super) fn encoded_len(s: &[u8]) -> usize {
    let bits = s.iter().fold(0usize, |sum, b| {
        sum.wrapping_add(code_of(*b).1 as usize) // at most 30 times the length of a slice
    });
    bits.div_ceil(8)
}

/// Appends the code of `s`, padded with ones.
pub(super) fn encode(s: &[u8], out: &mut Vec<u8>) {
    let (mut word, mut count) = (0u64, 0u32); // the lowest `count` bits, fewer than 32
    for byte in s {
        let (code, len) = code_of(*byte);
        word = (word << len) | u64::from(code);
        count = count.wrapping_add(len);
        if count >= 32 {
            count = count.wrapping_sub(32);
            out.extend_from_slice(&((word >> count) as u32).to_be_bytes());
        }
    }
    if count > 0 {
        let padded = (word << 64u32.wrapping_sub(count)) | (u64::MAX >> count);
        let bytes = padded.to_be_bytes();
        out.extend_from_slice(bytes.get(..count.div_ceil(8) as usize).unwrap_or_default());
    }
}

#[inline(always)]
#[allow(clippy::indexing_slicing)] // a u8 cannot leave a table of 256
fn code_of(byte: u8) -> (u32, u32) {
    CODES[byte as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(s: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        encode(s, &mut out);
        assert_eq!(out.len(), encoded_len(s));
        out
    }

    fn decoded(s: &[u8]) -> Result<Vec<u8>, HpackError> {
        decode(s, &mut Vec::new(), 1 << 20).map(<[u8]>::to_vec)
    }

    #[test]
    fn codes_are_those_of_the_appendix() {
        // One of each length, as printed in appendix B.
        for (byte, code, len) in [
            (b'0', 0x0, 5),
            (b't', 0x9, 5),
            (b' ', 0x14, 6),
            (b'u', 0x2d, 6),
            (b':', 0x5c, 7),
            (b'z', 0x7b, 7),
            (b'&', 0xf8, 8),
            (b'Z', 0xfd, 8),
            (b'!', 0x3f8, 10),
            (b'|', 0x7fc, 11),
            (b'>', 0xffb, 12),
            (0, 0x1ff8, 13),
            (b'}', 0x3ffd, 14),
            (b'{', 0x7ffe, 15),
            (b'\\', 0x7fff0, 19),
            (226, 0xf_ffed, 20),
            (230, 0x1f_ffe8, 21),
            (233, 0x3f_ffeb, 22),
            (239, 0x7f_fff4, 23),
            (237, 0xff_fff5, 24),
            (235, 0x1ff_ffef, 25),
            (255, 0x3ff_ffee, 26),
            (254, 0x7ff_fff0, 27),
            (249, 0xfff_fffe, 28),
            (22, 0x3fff_fffe, 30),
        ] {
            assert_eq!(code_of(byte), (code, len), "{byte}");
        }
    }

    #[test]
    fn every_pair_and_every_length_comes_back() {
        for a in 0..=255u8 {
            for b in 0..=255u8 {
                let text = [a, b, b'x', b, a];
                assert_eq!(decoded(&encoded(&text)).as_deref(), Ok(&text[..]));
            }
            for len in 0..40usize {
                let text = vec![a; len];
                assert_eq!(decoded(&encoded(&text)), Ok(text));
                let mixed: Vec<u8> = (0..len as u8).map(|n| n.wrapping_mul(a)).collect();
                assert_eq!(decoded(&encoded(&mixed)), Ok(mixed));
            }
        }
    }

    #[test]
    fn padding_and_eos() {
        // `a` is 00011.
        for (bytes, outcome) in [
            (&[0b0001_1111u8][..], Ok(b"a".to_vec())),
            (&[0b0001_1011], Err(HpackError::BadHuffman)),
            (&[0b0001_1110], Err(HpackError::BadHuffman)),
            (&[0b0001_1111, 0xff], Err(HpackError::BadHuffman)),
            (&[0xff], Err(HpackError::BadHuffman)),
            (&[0xff; 3], Err(HpackError::BadHuffman)),
            (&[0xff; 4], Err(HpackError::BadHuffman)),
            (&[0xff; 20], Err(HpackError::BadHuffman)),
            (&[], Ok(Vec::new())),
            // `&` is 11111000: a full byte needs no padding, one of its own is too much.
            (&[0xf8], Ok(b"&".to_vec())),
            (&[0xf8, 0xff], Err(HpackError::BadHuffman)),
            // EOS after a symbol: 00011 and 30 ones.
            (&[0x1f, 0xff, 0xff, 0xff, 0xff], Err(HpackError::BadHuffman)),
            // The first 16 bits of a code of 30.
            (&[0xff, 0xfe], Err(HpackError::BadHuffman)),
        ] {
            assert_eq!(decoded(bytes), outcome, "{bytes:02x?}");
            // The same behind a text that the fast loop takes.
            let text = b"00000000000000000000000000000000"; // 160 bits, zeros
            let long = [&encoded(text)[..], bytes].concat();
            let outcome = outcome.map(|tail| [&text[..], &tail].concat());
            assert_eq!(decoded(&long), outcome, "{bytes:02x?}");
        }
    }

    #[test]
    fn the_limit_is_exact() {
        for len in 0..60usize {
            let wire = encoded(&vec![b'a'; len]);
            let mut scratch = Vec::new();
            for max in 0..60 {
                let result = decode(&wire, &mut scratch, max).map(<[u8]>::len);
                let expected = if len <= max {
                    Ok(len)
                } else {
                    Err(HpackError::TooLong)
                };
                assert_eq!(result, expected, "{len} {max}");
            }
            assert!(scratch.len() <= 60 + SLACK);
        }
    }
}
