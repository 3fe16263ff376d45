//! How Python prints floats.

/// `repr` of a float: the shortest digits that read back as the same number, in fixed notation from 1e-4 up to 1e16.
pub fn float_repr(value: f64) -> String {
    if value.is_nan() {
        return "nan".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.into();
    }
    // Of no two decimals of up to 15 digits is a number of this range the nearest, so Rust's shortest is Python's.
    if value == 0.0 || (1e-4..1e16).contains(&value.abs()) {
        let text = format!("{value:?}");
        if text.len() <= 16 {
            return text;
        }
    }
    // Rust's `{:e}` gives the shortest digits that round-trip, as d.ddde±x.
    let mut text = format!("{value:e}");
    // Of two shortest texts that are equally near, Python has the even one; rounding to that length says which.
    let digits = text
        .bytes()
        .take_while(|b| *b != b'e')
        .filter(u8::is_ascii_digit)
        .count();
    let rounded = format!("{value:.*e}", digits.saturating_sub(1));
    if rounded.parse() == Ok(value) {
        text = rounded;
    }
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    let digits: String = mantissa.chars().filter(|c| *c != '.').collect();
    let n = digits.len() as i32;
    if !(-4..16).contains(&exponent) {
        let (first, rest) = digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        let (sign_of_exponent, size) = (if exponent < 0 { '-' } else { '+' }, exponent.abs());
        return format!("{sign}{first}{point}{rest}e{sign_of_exponent}{size:02}");
    }
    if exponent < 0 {
        return format!("{sign}0.{}{digits}", "0".repeat((-exponent - 1) as usize));
    }
    if n <= exponent + 1 {
        return format!("{sign}{digits}{}.0", "0".repeat((exponent + 1 - n) as usize));
    }
    let (whole, fraction) = digits.split_at((exponent + 1) as usize);
    format!("{sign}{whole}.{fraction}")
}
