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

/// Bits that one step of the decoder looks at: two symbols of the common ones, in a table of
/// 16 KiB. With one bit less it is half of that and takes a quarter longer.
const STEP: usize = 12;
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
///
/// From the lowest bit on: 6 bits for the length of all symbols, 2 for their number (0 for a
/// longer one), 8 for the first, 8 for the second, 8 for the length of the first. The length of
/// all is where a shift takes it from: it decides how soon the next step can begin.
#[derive(Clone, Copy)]
struct Step(u32);

impl Step {
    const LONGER: Step = Step(0);

    const fn one(symbol: u8, len: u32) -> Step {
        Step(len | (1 << 6) | ((symbol as u32) << 8) | (len << 24))
    }

    const fn two(first: Step, second: Step) -> Step {
        let len = first.first_len().wrapping_add(second.first_len()); // at most STEP
        let symbols = (first.0 & 0xff00) | ((second.0 & 0xff00) << 8);
        Step(len | (2 << 6) | symbols | (first.first_len() << 24))
    }

    #[inline(always)]
    const fn len(self) -> u32 {
        self.0 & 63
    }

    #[inline(always)]
    const fn count(self) -> usize {
        ((self.0 >> 6) & 3) as usize
    }

    #[inline(always)]
    const fn symbols(self) -> [u8; 2] {
        ((self.0 >> 8) as u16).to_le_bytes()
    }

    #[inline(always)]
    const fn first_len(self) -> u32 {
        self.0 >> 24
    }

    #[inline(always)]
    const fn is_longer(self) -> bool {
        self.0 == 0
    }
}

static STEPS: [Step; 1 << STEP] = steps();

#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)] // by the compiler
const fn steps() -> [Step; 1 << STEP] {
    let codes = codes();
    let mut ones = [Step::LONGER; 1 << STEP];
    let mut symbol = 0;
    while symbol < 256 {
        let (code, len) = codes[symbol];
        if len as usize <= STEP {
            let room = STEP - len as usize;
            let mut rest = 0;
            while rest < 1 << room {
                ones[((code as usize) << room) | rest] = Step::one(symbol as u8, len);
                rest += 1;
            }
        }
        symbol += 1;
    }
    // The second symbol is the first of what is left, if that is whole.
    let mut steps = ones;
    let mut bits = 0;
    while bits < 1 << STEP {
        let first = ones[bits];
        let next = ones[(bits << first.first_len()) & ((1 << STEP) - 1)];
        let len = first.first_len() + next.first_len();
        if !first.is_longer() && !next.is_longer() && len as usize <= STEP {
            steps[bits] = Step::two(first, next);
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

/// The bits of a string, then ones without end.
struct Bits<'a> {
    input: &'a [u8],
    /// The last bytes of the input, at the low end.
    tail: u64,
    /// Bytes of the input that are in `word`, or the ones behind it.
    read: usize,
    /// Bits that were not taken yet, at the top.
    word: u64,
    /// How many of them; those below may be there already.
    count: u32,
    /// Bits of the input that were not taken yet.
    left: usize,
}

impl<'a> Bits<'a> {
    #[inline(always)]
    fn new(input: &'a [u8]) -> Bits<'a> {
        let tail = match input.last_chunk::<8>() {
            Some(last) => u64::from_be_bytes(*last),
            None => input.iter().fold(0, |w, b| (w << 8) | u64::from(*b)),
        };
        Bits {
            input,
            tail,
            read: 0,
            word: 0,
            count: 0,
            left: input.len().saturating_mul(8),
        }
    }

    /// Makes `count` 56 or more.
    #[inline(always)]
    fn fill(&mut self) {
        let next = self
            .input
            .get(self.read..)
            .and_then(|r| r.first_chunk::<8>());
        let next = match next {
            Some(next) => u64::from_be_bytes(*next),
            None => self.past_the_end(),
        };
        self.word |= next >> self.count; // below 64
        self.read = self
            .read
            .wrapping_add((63u32.wrapping_sub(self.count) / 8) as usize);
        self.count |= 56;
    }

    /// Fewer than eight bytes, then ones.
    #[inline(always)]
    fn past_the_end(&self) -> u64 {
        let end = self.read.wrapping_add(8); // `read` is at most 7 beyond the input
        let ones = end.wrapping_sub(self.input.len()).min(8).wrapping_mul(8) as u32;
        let mask = u64::MAX.checked_shl(ones).unwrap_or_default();
        (self.tail.checked_shl(ones).unwrap_or_default() & mask) | !mask
    }

    #[inline(always)]
    fn step(&self) -> Step {
        let at = (self.word >> 64usize.wrapping_sub(STEP)) as usize;
        #[allow(clippy::indexing_slicing)] // STEP bits cannot leave a table of 1 << STEP
        STEPS[at % (1 << STEP)]
    }

    /// Takes `n` bits (the lowest six count), no more than `left` and `count`.
    #[inline(always)]
    fn take(&mut self, n: u32) {
        self.word = self.word.wrapping_shl(n);
        self.count = self.count.wrapping_sub(n & 63);
        self.left = self.left.wrapping_sub((n & 63) as usize);
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
fn decode_into(input: &[u8], out: &mut [u8]) -> Result<usize, HpackError> {
    let mut bits = Bits::new(input);
    let mut at = 0usize; // at most out.len()
    let mut put = |symbols: [u8; 2], count: usize| {
        let place = out.get_mut(at..).and_then(|o| o.first_chunk_mut::<2>());
        *place.ok_or(HpackError::TooLong)? = symbols;
        at = at.wrapping_add(count);
        Ok(())
    };
    loop {
        bits.fill();
        // There are bits for four steps.
        for _ in 0..4 {
            let step = bits.step();
            if step.is_longer() || step.len() as usize > bits.left {
                break;
            }
            put(step.symbols(), step.count())?;
            bits.take(step.0);
        }
        bits.fill();
        // Four steps again, or what is no whole step: a long symbol, the last one, the padding.
        let step = bits.step();
        if !step.is_longer() && step.len() as usize <= bits.left {
            continue;
        }
        let [first, _] = step.symbols();
        let (symbol, len) = if !step.is_longer() {
            (usize::from(first), step.first_len())
        } else if bits.left > STEP {
            bits.symbol()
        } else {
            break;
        };
        if len as usize > bits.left {
            break;
        }
        let symbol = u8::try_from(symbol).map_err(|_| HpackError::BadHuffman)?;
        put([symbol, 0], 1)?;
        bits.take(len);
    }
    // Less than a byte, all ones (§5.2): with the ones that follow, a byte of ones.
    if bits.left > 7 || bits.word >> 56 != 0xff {
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
