//! Output within bounds: the beginning and the end are kept, the middle goes.

/// Collects bytes, of which it keeps at most as many as it was made for.
#[derive(Debug)]
pub struct Bounded {
    limit: usize,
    head: Vec<u8>,
    /// A ring, once it is full: its oldest byte is at `start`.
    tail: Vec<u8>,
    start: usize,
    total: u64,
}

impl Bounded {
    pub fn new(limit: u64) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Self {
            limit,
            head: Vec::new(),
            tail: Vec::new(),
            start: 0,
            total: 0,
        }
    }

    pub fn push(&mut self, mut bytes: &[u8]) {
        self.total += bytes.len() as u64;
        let half = self.limit.div_ceil(2);
        let n = half.saturating_sub(self.head.len()).min(bytes.len());
        let (first, rest) = bytes.split_at(n);
        self.head.extend_from_slice(first);
        let room = self.limit - half;
        bytes = rest.get(rest.len().saturating_sub(room)..).unwrap_or_default();
        let n = (room - self.tail.len()).min(bytes.len());
        let (first, mut rest) = bytes.split_at(n);
        self.tail.extend_from_slice(first);
        while !rest.is_empty() {
            let n = (room - self.start).min(rest.len());
            let (first, later) = rest.split_at(n);
            self.tail[self.start..self.start + n].copy_from_slice(first);
            self.start = (self.start + n) % room;
            rest = later;
        }
    }

    /// All bytes that came, kept or not.
    pub fn total(&self) -> u64 {
        self.total
    }

    pub fn finish(mut self) -> Output {
        self.tail.rotate_left(self.start);
        let dropped = self.total - (self.head.len() + self.tail.len()) as u64;
        Output {
            head: self.head,
            tail: self.tail,
            dropped,
        }
    }
}

/// What is left of an output.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    pub head: Vec<u8>,
    /// Empty if nothing was dropped and the head holds everything.
    pub tail: Vec<u8>,
    /// How many bytes are missing between the two.
    pub dropped: u64,
}

impl Output {
    /// As text: what is no UTF-8 becomes `�`, and a line stands for what was dropped.
    pub fn text(&self) -> String {
        if self.dropped == 0 {
            return String::from_utf8_lossy(&[&self.head[..], &self.tail].concat()).into_owned();
        }
        let (head, tail) = (String::from_utf8_lossy(&self.head), String::from_utf8_lossy(&self.tail));
        format!("{head}\n[... {} bytes left out ...]\n{tail}", self.dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_goes_whatever_the_pieces() {
        let all: Vec<u8> = (0..100).collect();
        for limit in [0, 1, 2, 7, 10, 99, 100, 200] {
            for piece in [1, 3, 10, 64, 100] {
                let mut kept = Bounded::new(limit);
                all.chunks(piece).for_each(|chunk| kept.push(chunk));
                let kept = kept.finish();
                let n = (limit as usize).min(100);
                assert_eq!(kept.head.len() + kept.tail.len(), n, "limit {limit}, pieces of {piece}");
                assert_eq!(kept.dropped, 100 - n as u64);
                assert!(
                    all.starts_with(&kept.head) && all.ends_with(&kept.tail),
                    "limit {limit}, pieces of {piece}"
                );
            }
        }
    }

    #[test]
    fn text_says_what_is_missing() {
        let mut kept = Bounded::new(4);
        kept.push(b"ab\xffdefg");
        assert_eq!(kept.finish().text(), "ab\n[... 3 bytes left out ...]\nfg");
    }
}
