//! Units of length, mass, time, temperature and data, and what is made of them.
//!
//! Sources: the SI Brochure (9th edition); the international yard and pound agreement of 1959 (inch 25.4 mm, pound
//! 0.45359237 kg); NIST Handbook 44, Appendix C (US gallon 231 cubic inches, acre 43,560 square feet); IEC 80000-13 (kB and
//! KiB). All factors are exact.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::One;

/// Powers of metre, kilogram, second, kelvin and bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dimension(pub [i8; 5]);

/// What the base units are called.
const BASE: [&str; 5] = ["m", "kg", "s", "K", "bit"];

/// Largest power of a unit.
const MAX_POWER: i8 = 20;

impl Dimension {
    /// Whether it is a mere number.
    pub fn is_none(self) -> bool {
        self == Self::default()
    }

    /// This times `other` to the power of `times`; nothing if that is out of bounds.
    pub fn with(self, other: Self, times: i8) -> Option<Self> {
        let mut powers = self.0;
        for (power, more) in powers.iter_mut().zip(other.0) {
            *power = more.checked_mul(times).and_then(|more| power.checked_add(more))?;
            if power.abs() > MAX_POWER {
                return None;
            }
        }
        Some(Self(powers))
    }

    /// In base units, such as `kg*m/s^2`; empty for a mere number.
    pub fn text(self) -> String {
        let list = |sign: i8| -> Vec<String> {
            let powers = BASE.iter().zip(self.0).filter(|(_, power)| power * sign > 0);
            powers
                .map(|(name, power)| match power * sign {
                    1 => (*name).to_owned(),
                    power => format!("{name}^{power}"),
                })
                .collect()
        };
        let (above, below) = (list(1).join("*"), list(-1));
        match (above.is_empty(), below.is_empty()) {
            (_, true) => above,
            (true, false) => format!("1/{}", below.join("/")),
            (false, false) => format!("{above}/{}", below.join("/")),
        }
    }
}

/// A unit: its dimension, how many base units it is, and where its zero lies in base units.
#[derive(Clone, Debug, PartialEq)]
pub struct Unit {
    /// Dimension.
    pub dimension: Dimension,
    /// Base units in one of it.
    pub factor: BigRational,
    /// Its zero in base units; only degrees Celsius and Fahrenheit have another than 0.
    pub zero: Option<BigRational>,
}

const LENGTH: [i8; 5] = [1, 0, 0, 0, 0];
const AREA: [i8; 5] = [2, 0, 0, 0, 0];
const VOLUME: [i8; 5] = [3, 0, 0, 0, 0];
const SPEED: [i8; 5] = [1, 0, -1, 0, 0];
const MASS: [i8; 5] = [0, 1, 0, 0, 0];
const TIME: [i8; 5] = [0, 0, 1, 0, 0];
const TEMPERATURE: [i8; 5] = [0, 0, 0, 1, 0];
const DATA: [i8; 5] = [0, 0, 0, 0, 1];

/// Names, dimension and factor (a numerator and a denominator).
type Row = (&'static [&'static str], [i8; 5], i64, i64);

const UNITS: &[Row] = &[
    (&["nm", "nanometre", "nanometer"], LENGTH, 1, 1_000_000_000),
    (&["um", "µm", "μm", "micrometre", "micrometer"], LENGTH, 1, 1_000_000),
    (&["mm", "millimetre", "millimeter"], LENGTH, 1, 1000),
    (&["cm", "centimetre", "centimeter"], LENGTH, 1, 100),
    (&["dm", "decimetre", "decimeter"], LENGTH, 1, 10),
    (&["m", "metre", "meter"], LENGTH, 1, 1),
    (&["km", "kilometre", "kilometer"], LENGTH, 1000, 1),
    (&["inch", "inches"], LENGTH, 254, 10_000),
    (&["ft", "foot", "feet"], LENGTH, 3048, 10_000),
    (&["yd", "yard"], LENGTH, 9144, 10_000),
    (&["mi", "mile"], LENGTH, 1_609_344, 1000),
    (&["nmi", "nautical_mile"], LENGTH, 1852, 1),
    (&["ha", "hectare"], AREA, 10_000, 1),
    (&["acre"], AREA, 40_468_564_224, 10_000_000),
    (&["ml", "mL", "millilitre", "milliliter"], VOLUME, 1, 1_000_000),
    (&["cl", "cL", "centilitre", "centiliter"], VOLUME, 1, 100_000),
    (&["l", "L", "litre", "liter"], VOLUME, 1, 1000),
    (&["gal", "gallon"], VOLUME, 3_785_411_784, 1_000_000_000_000),
    (&["kmh", "kph"], SPEED, 10, 36),
    (&["mph"], SPEED, 1_609_344, 3_600_000),
    (&["kn", "knot"], SPEED, 1852, 3600),
    (&["ug", "µg", "μg", "microgram"], MASS, 1, 1_000_000_000),
    (&["mg", "milligram"], MASS, 1, 1_000_000),
    (&["g", "gram"], MASS, 1, 1000),
    (&["kg", "kilogram"], MASS, 1, 1),
    (&["t", "tonne"], MASS, 1000, 1),
    (&["oz", "ounce"], MASS, 45_359_237, 1_600_000_000),
    (&["lb", "lbs", "pound"], MASS, 45_359_237, 100_000_000),
    (&["st", "stone"], MASS, 635_029_318, 100_000_000),
    (&["ns", "nanosecond"], TIME, 1, 1_000_000_000),
    (&["us", "µs", "μs", "microsecond"], TIME, 1, 1_000_000),
    (&["ms", "millisecond"], TIME, 1, 1000),
    (&["s", "sec", "second"], TIME, 1, 1),
    (&["min", "minute"], TIME, 60, 1),
    (&["h", "hr", "hour"], TIME, 3600, 1),
    (&["d", "day"], TIME, 86_400, 1),
    (&["week"], TIME, 604_800, 1),
    (&["K", "kelvin"], TEMPERATURE, 1, 1),
    (&["bit"], DATA, 1, 1),
    (&["kbit"], DATA, 1000, 1),
    (&["Mbit"], DATA, 1_000_000, 1),
    (&["Gbit"], DATA, 1_000_000_000, 1),
    (&["Tbit"], DATA, 1_000_000_000_000, 1),
    (&["B", "byte"], DATA, 8, 1),
    (&["kB", "KB", "kilobyte"], DATA, 8_000, 1),
    (&["MB", "megabyte"], DATA, 8_000_000, 1),
    (&["GB", "gigabyte"], DATA, 8_000_000_000, 1),
    (&["TB", "terabyte"], DATA, 8_000_000_000_000, 1),
    (&["PB", "petabyte"], DATA, 8_000_000_000_000_000, 1),
    (&["KiB", "kibibyte"], DATA, 8 << 10, 1),
    (&["MiB", "mebibyte"], DATA, 8 << 20, 1),
    (&["GiB", "gibibyte"], DATA, 8 << 30, 1),
    (&["TiB", "tebibyte"], DATA, 8 << 40, 1),
    (&["PiB", "pebibyte"], DATA, 8 << 50, 1),
];

/// The unit of that name; long names may be in the plural and in capitals.
pub fn unit(name: &str) -> Option<Unit> {
    let ratio = |above: i64, below: i64| BigRational::new(BigInt::from(above), BigInt::from(below));
    let degrees = |factor: BigRational, zero: BigRational| Unit {
        dimension: Dimension(TEMPERATURE),
        factor,
        zero: Some(zero),
    };
    match name {
        "degC" | "°C" | "celsius" | "Celsius" => return Some(degrees(BigRational::one(), ratio(27_315, 100))),
        "degF" | "°F" | "fahrenheit" | "Fahrenheit" => return Some(degrees(ratio(5, 9), ratio(45_967, 180))),
        _ => {}
    }
    let lower = name.to_lowercase();
    let long = |known: &str| known.len() > 4 && (lower == known || lower.strip_suffix('s') == Some(known));
    let plural = |known: &str| {
        matches!(
            known,
            "bit" | "byte" | "day" | "hour" | "week" | "mile" | "yard" | "knot" | "acre" | "gram"
        )
    };
    let fits = |known: &&str| {
        *known == name || long(known) || (plural(known) && (lower == **known || lower.strip_suffix('s') == Some(known)))
    };
    let row = UNITS.iter().find(|row| row.0.contains(&name));
    let row = row.or_else(|| UNITS.iter().find(|row| row.0.iter().any(&fits)))?;
    Some(Unit {
        dimension: Dimension(row.1),
        factor: ratio(row.2, row.3),
        zero: None,
    })
}

/// Some names, for messages.
pub const EXAMPLES: &str =
    "m, km, inch, ft, mile, kg, g, lb, s, min, h, day, K, degC, degF, bit, B, kB, MB, KiB, MiB, l, km/h";
