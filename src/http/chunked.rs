//! The chunked transfer coding of request bodies, decoded strictly: a size is hex digits and
//! nothing else, a line ends with CR LF, extensions are refused, trailers are read and dropped.
//!
//! RFC 9112 section 7.1. Extensions are optional there and a known source of disagreement between
//! a proxy and the server behind it; no client of ours sends them.

use super::Refusal;

/// Digits of a chunk size; leading zeros count.
const SIZE_DIGITS_MAX: usize = 16;

/// All trailer lines together, in bytes.
const TRAILER_BYTES_MAX: usize = 4 * 1024;

/// Where in the coding the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Size,
    Content(usize),
    ContentEnd,
    Trailer { seen: usize },
    Done,
}

/// A decoder that takes bytes as they come.
pub(super) struct Chunked {
    place: Place,
    body_bytes_max: usize,
}

impl Chunked {
    pub(super) fn new(body_bytes_max: usize) -> Self {
        Chunked { place: Place::Size, body_bytes_max }
    }

    pub(super) fn is_done(&self) -> bool {
        self.place == Place::Done
    }

    /// Decodes what it can of `input` into `body` and answers how many bytes that took. Bytes
    /// behind the last chunk are left alone.
    pub(super) fn decode(&mut self, input: &[u8], body: &mut Vec<u8>) -> Result<usize, Refusal> {
        let mut rest = input;
        while let Some(taken) = self.step(rest, body)? {
            rest = rest.get(taken..).unwrap_or_default();
            if self.is_done() {
                break;
            }
        }
        Ok(input.len() - rest.len())
    }

    /// One line or one piece of content; `None` when more bytes are needed.
    fn step(&mut self, input: &[u8], body: &mut Vec<u8>) -> Result<Option<usize>, Refusal> {
        match self.place {
            Place::Size => {
                let Some(line) = line(input, SIZE_DIGITS_MAX)? else { return Ok(None) };
                let size = size(line)?;
                if size > self.body_bytes_max.saturating_sub(body.len()) {
                    return Err(Refusal::BodyTooLarge);
                }
                self.place =
                    if size == 0 { Place::Trailer { seen: 0 } } else { Place::Content(size) };
                Ok(Some(line.len() + 2))
            }
            Place::Content(remaining) => {
                let Some((content, _)) = input.split_at_checked(remaining.min(input.len())) else {
                    return Ok(None);
                };
                if content.is_empty() {
                    return Ok(None);
                }
                body.extend_from_slice(content);
                let left = remaining - content.len();
                self.place = if left == 0 { Place::ContentEnd } else { Place::Content(left) };
                Ok(Some(content.len()))
            }
            Place::ContentEnd => {
                let Some(_) = line(input, 0)? else { return Ok(None) };
                self.place = Place::Size;
                Ok(Some(2))
            }
            Place::Trailer { seen } => {
                let Some(line) = line(input, TRAILER_BYTES_MAX.saturating_sub(seen))? else {
                    return Ok(None);
                };
                let seen = seen.saturating_add(line.len() + 2);
                self.place = if line.is_empty() { Place::Done } else { Place::Trailer { seen } };
                Ok(Some(line.len() + 2))
            }
            Place::Done => Ok(None),
        }
    }
}

/// The first line without its CR LF, of at most `bytes_max` bytes of visible ASCII, space and tab;
/// `None` when it has not ended yet.
fn line(input: &[u8], bytes_max: usize) -> Result<Option<&[u8]>, Refusal> {
    let is_text = |byte: &u8| matches!(byte, b'\t' | b' '..=b'~');
    let length = input.iter().position(|byte| !is_text(byte)).unwrap_or(input.len());
    if length > bytes_max {
        return Err(Refusal::Malformed);
    }
    match input.get(length..) {
        Some([] | [b'\r']) | None => Ok(None),
        Some([b'\r', b'\n', ..]) => Ok(input.get(..length)),
        Some(_) => Err(Refusal::Malformed),
    }
}

fn size(line: &[u8]) -> Result<usize, Refusal> {
    // `from_str_radix` alone would accept a sign.
    if line.is_empty() || !line.iter().all(u8::is_ascii_hexdigit) {
        return Err(Refusal::Malformed);
    }
    let digits = str::from_utf8(line).ok();
    // More digits than a machine word has are a chunk beyond every bound.
    digits.and_then(|digits| usize::from_str_radix(digits, 16).ok()).ok_or(Refusal::BodyTooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes `input` fed in pieces of `piece` bytes, as a connection would.
    fn decode(input: &[u8], piece: usize) -> Result<(Vec<u8>, Vec<u8>), Refusal> {
        let mut chunked = Chunked::new(16);
        let mut body = Vec::new();
        let mut held = Vec::new();
        for bytes in input.chunks(piece) {
            held.extend_from_slice(bytes);
            let taken = chunked.decode(&held, &mut body)?;
            held.drain(..taken);
        }
        assert!(chunked.is_done(), "the body did not end");
        Ok((body, held))
    }

    #[test]
    fn a_body_is_the_same_however_it_is_cut() {
        let input = b"4\r\nabcd\r\n00A\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\nGET /";

        for piece in 1..=input.len() {
            let (body, rest) = decode(input, piece).unwrap();
            assert_eq!(body, b"abcd0123456789");
            assert_eq!(rest, b"GET /");
        }
    }

    #[test]
    fn garbage_in_a_chunked_body_is_malformed() {
        for input in [
            &b"4;a=b\r\nabcd\r\n0\r\n\r\n"[..],
            b"4 \r\nabcd\r\n0\r\n\r\n",
            b" 4\r\nabcd\r\n0\r\n\r\n",
            b"+4\r\nabcd\r\n0\r\n\r\n",
            b"-4\r\nabcd\r\n0\r\n\r\n",
            b"0x4\r\nabcd\r\n0\r\n\r\n",
            b"4g\r\nabcd\r\n0\r\n\r\n",
            b"\r\n",
            b"4\nabcd\n0\n\n",
            b"4\rabcd",
            b"4\r\nabcde\r\n0\r\n\r\n",
            b"4\r\nabcd0\r\n\r\n",
            b"00000000000000004\r\nabcd\r\n0\r\n\r\n",
            b"0\r\nX: a\nb\r\n\r\n",
            b"0\r\nX: \0\r\n\r\n",
        ] {
            assert_eq!(decode(input, 64), Err(Refusal::Malformed), "{}", input.escape_ascii());
        }
    }

    #[test]
    fn a_chunk_beyond_the_bound_is_refused_before_its_content() {
        for input in [&b"11\r\n"[..], b"ffffffffffffffff\r\n", b"10\r\n0123456789abcdef\r\n1\r\n"] {
            assert_eq!(decode(input, 64), Err(Refusal::BodyTooLarge), "{}", input.escape_ascii());
        }
    }

    #[test]
    fn trailers_without_end_are_refused() {
        let mut input = b"0\r\n".to_vec();
        input.extend(b"X: y\r\n".repeat(1000));

        assert_eq!(decode(&input, 64), Err(Refusal::Malformed));
    }
}
