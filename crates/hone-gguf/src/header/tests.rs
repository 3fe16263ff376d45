use super::*;

/// A well-formed file: every type of value, and two tensors.
fn file() -> Vec<u8> {
    let mut out = b"GGUF".to_vec();
    let text = |out: &mut Vec<u8>, text: &str| {
        out.extend((text.len() as u64).to_le_bytes());
        out.extend(text.as_bytes());
    };
    out.extend(3u32.to_le_bytes());
    out.extend(2u64.to_le_bytes());
    let values: Vec<(u32, Vec<u8>)> = vec![
        (0, vec![200]),
        (1, vec![200]),
        (2, 60_000u16.to_le_bytes().to_vec()),
        (3, (-2i16).to_le_bytes().to_vec()),
        (4, 7u32.to_le_bytes().to_vec()),
        (5, (-7i32).to_le_bytes().to_vec()),
        (6, 1.5f32.to_le_bytes().to_vec()),
        (7, vec![1]),
        (10, 1u64.to_le_bytes().to_vec()),
        (11, (-1i64).to_le_bytes().to_vec()),
        (12, 0.1f64.to_le_bytes().to_vec()),
    ];
    out.extend((values.len() as u64 + 2).to_le_bytes());
    for (kind, bytes) in values {
        text(&mut out, &format!("value.{kind}"));
        out.extend(kind.to_le_bytes());
        out.extend(bytes);
    }
    text(&mut out, "text");
    out.extend(8u32.to_le_bytes());
    text(&mut out, "ü");
    text(&mut out, "list");
    out.extend(9u32.to_le_bytes());
    out.extend(8u32.to_le_bytes());
    out.extend(2u64.to_le_bytes());
    text(&mut out, "a");
    text(&mut out, "");
    for (name, dims, kind, offset) in [("a", vec![2u64, 3], 0u32, 0u64), ("b", vec![64], 8, 32)] {
        text(&mut out, name);
        out.extend((dims.len() as u32).to_le_bytes());
        dims.iter().for_each(|n| out.extend(n.to_le_bytes()));
        out.extend(kind.to_le_bytes());
        out.extend(offset.to_le_bytes());
    }
    out.resize(out.len().next_multiple_of(32), 0);
    (0..6).for_each(|i| out.extend((i as f32).to_le_bytes()));
    out.resize(out.len().next_multiple_of(32), 0);
    for d in [0x3c00u16, 0x4000] {
        out.extend(d.to_le_bytes());
        out.extend((0..32u8).map(|q| q.wrapping_sub(16)));
    }
    out
}

fn parse(bytes: &[u8]) -> Result<Header, String> {
    Header::parse(bytes, bytes.len() as u64)
}

#[test]
fn a_file_is_read_as_written() {
    let header = parse(&file()).unwrap();
    assert_eq!(header.metadata["value.0"], Value::Unsigned(200));
    assert_eq!(header.metadata["value.1"], Value::Signed(-56));
    assert_eq!(header.metadata["value.3"].as_u64(), None);
    assert_eq!(header.metadata["value.5"].as_f64(), Some(-7.0));
    assert_eq!(header.metadata["value.7"], Value::Bool(true));
    assert_eq!(header.metadata["value.12"], Value::Float(0.1));
    assert_eq!(header.metadata["text"].as_text(), Some("ü"));
    let list = ["a", ""].map(|text| Value::Text(text.into()));
    assert_eq!(header.metadata["list"], Value::List(list.to_vec()));
    assert_eq!(header.tensors["a"].shape, [3, 2]);
    assert_eq!(header.tensors["b"].kind, Kind::Q8_0);

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.gguf");
    std::fs::write(&path, file()).unwrap();
    let gguf = crate::Gguf::open(&path).unwrap();
    let (mut a, mut b) = ([0.0; 6], [0.0; 64]);
    gguf.read("a", &mut a).unwrap();
    gguf.read("b", &mut b).unwrap();
    assert_eq!(a, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    assert_eq!((b[0], b[31], b[32], b[63]), (-16.0, 15.0, -32.0, 30.0));
    assert!(gguf.read("c", &mut a).unwrap_err().to_string().contains("is missing"));
    assert!(gguf.read("a", &mut b).unwrap_err().to_string().contains("6 elements"));
}

#[test]
fn a_cut_file_is_an_error_wherever_it_is_cut() {
    let whole = file();
    for cut in 0..whole.len() {
        assert!(parse(&whole[..cut]).is_err(), "cut at {cut}");
    }
}

#[test]
fn hostile_numbers_are_errors() {
    let whole = file();
    let with = |at: usize, bytes: &[u8]| {
        let mut broken = whole.clone();
        broken[at..at + bytes.len()].copy_from_slice(bytes);
        parse(&broken).unwrap_err()
    };
    assert!(with(0, b"GGML").contains("GGUF"));
    assert!(with(4, &1u32.to_le_bytes()).contains("version 1"));
    for count in [u64::MAX, 1 << 40, 1 << 17] {
        assert!(with(8, &count.to_le_bytes()).contains("at most"));
        assert!(with(16, &count.to_le_bytes()).contains("at most"));
        // The length of the first key.
        assert!(with(24, &count.to_le_bytes()).contains("in the middle"));
    }
    let find = |name: &[u8]| whole.windows(name.len()).position(|w| w == name).unwrap() + name.len();
    let list = find(b"\x04\0\0\0\0\0\0\0list");
    assert!(with(list + 8, &u64::MAX.to_le_bytes()).contains("too long"));
    assert!(with(list + 4, &9u32.to_le_bytes()).contains("list within a list"));
    let tensor = find(b"\x01\0\0\0\0\0\0\0b");
    assert!(with(tensor, &9u32.to_le_bytes()).contains("9 dimensions"));
    for n in [0, u64::MAX, 1 << 41] {
        assert!(with(tensor + 4, &n.to_le_bytes()).contains("a dimension of"));
    }
    assert!(with(tensor + 4, &33u64.to_le_bytes()).contains("whole blocks"));
    assert!(with(tensor + 12, &12u32.to_le_bytes()).contains("ggml type 12"));
    // The second tensor over the first one, and the file ends where the second would end then.
    let mut shared = whole[..whole.len() - 32].to_vec();
    shared[tensor + 16..tensor + 24].copy_from_slice(&0u64.to_le_bytes());
    assert!(parse(&shared).unwrap_err().contains("overlap"));
    for offset in [1u64, 64, u64::MAX - 31, 1 << 63] {
        assert!(with(tensor + 16, &offset.to_le_bytes()).contains("does not lie"));
    }
}

/// Random damage: an error or a header whose tensors lie in the file, never a panic.
#[test]
fn damaged_files_do_no_harm() {
    let whole = file();
    let mut state = 1u64;
    let mut random = |n: usize| {
        // Knuth's multiplier; the upper bits are random enough.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as usize % n
    };
    let mut read = 0;
    for _ in 0..50_000 {
        let mut bytes = whole.clone();
        for _ in 0..1 + random(4) {
            let at = random(bytes.len());
            bytes[at] = [0, 1, 0x7f, 0xff, random(256) as u8][random(5)];
        }
        bytes.truncate(whole.len() - random(3) * random(whole.len()) / 2);
        if let Ok(header) = parse(&bytes) {
            read += 1;
            for info in header.tensors.values() {
                let (per_block, size) = info.kind.block();
                let len = info.elements() / per_block as u64 * size as u64;
                assert!(info.offset + len <= bytes.len() as u64);
            }
        }
    }
    assert!(read > 1000, "{read} of the damaged files could be read");
}
