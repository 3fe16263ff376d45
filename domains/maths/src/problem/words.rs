//! Problems told as stories, of several steps.

use super::{Problem, euros, exact, list, one_of, ratio, told};
use crate::answer::Expected;
use hone_trace::Stream;
use num_rational::BigRational;
use num_traits::Zero;
use rand::RngExt;

const NAMES: &[&str] = &[
    "Ada", "Bruno", "Chidi", "Dora", "Emre", "Farah", "Goran", "Hana", "Ivo", "Jun",
];

/// Rounds a number of cents, a fraction, half to even; prints euros.
const SHOW: &str = "cents = round(total)\nprint(f'{cents // 100}.{cents % 100:02d}')";

pub(super) fn receipt(draw: &mut Stream) -> Problem {
    let name = one_of(draw, NAMES);
    let all = [
        "notebooks",
        "pens",
        "lamps",
        "folders",
        "chairs",
        "clocks",
        "rulers",
        "mugs",
    ];
    let first = draw.random_range(0..all.len());
    let number = draw.random_range(3..6);
    let items: Vec<(&str, i64, i64)> = (0..number)
        .map(|n| {
            (
                all[(first + n) % all.len()],
                draw.random_range(2..25),
                draw.random_range(80..4_000),
            )
        })
        .collect();
    let (discount, from, tax) = (
        draw.random_range(3..30_i64),
        draw.random_range(5..15_i64),
        draw.random_range(5..26_i64),
    );
    let mut total = BigRational::zero();
    for (_, count, price) in &items {
        let kept = if *count >= from { 100 - discount } else { 100 };
        total += ratio(count * price * kept, 100);
    }
    total *= ratio(100 + tax, 100 * 100);
    let told_items: Vec<String> = items
        .iter()
        .map(|(item, count, price)| format!("{count} {item} at {} euros each", euros(*price)))
        .collect();
    let pairs: Vec<String> = items
        .iter()
        .map(|(_, count, price)| format!("({count}, {price})"))
        .collect();
    Problem {
        text: format!(
            "{name} orders {}. Whoever takes {from} or more of an item pays {discount}% less for that item. Then {tax}% of tax \
             are added. How much is to be paid, in euros, to the cent?",
            told(&told_items)
        ),
        expected: Expected::Decimal {
            value: total.to_string(),
            places: 2,
        },
        code: format!(
            "from fractions import Fraction as F\n\ntotal = F(0)\nfor count, price in {}:\n    \
             total += count * price * (1 - F({discount}, 100) if count >= {from} else 1)\ntotal *= 1 + F({tax}, 100)\n{SHOW}",
            list(&pairs)
        ),
    }
}

/// By a loop here, by the closed form there.
pub(super) fn savings(draw: &mut Stream) -> Problem {
    let name = one_of(draw, NAMES);
    let (start, deposit): (i64, i64) = (draw.random_range(1..90) * 100, draw.random_range(1..50) * 10);
    // Tenths of a percent.
    let (rate, months): (i64, i64) = (draw.random_range(6..72), draw.random_range(7..48));
    let factor = ratio(12_000 + rate, 12_000);
    let mut balance = ratio(start, 1);
    for _ in 0..months {
        balance = balance * &factor + ratio(deposit, 1);
    }
    Problem {
        text: format!(
            "{name} has {start} euros on an account that pays {}.{}% interest a year, a twelfth of it at the end of each month, \
             and puts {deposit} euros more on it at the end of each month, after the interest. Nothing is rounded on the way. How \
             many euros are there after {months} months, to the cent?",
            rate / 10,
            rate % 10
        ),
        expected: Expected::Decimal {
            value: balance.to_string(),
            places: 2,
        },
        code: format!(
            "from fractions import Fraction as F\n\nq = 1 + F({rate}, 12000)\n\
             total = 100 * ({start} * q ** {months} + {deposit} * (q ** {months} - 1) / (q - 1))\n{SHOW}"
        ),
    }
}

pub(super) fn tank(draw: &mut Stream) -> Problem {
    let (a, b): (i64, i64) = (draw.random_range(4..20), draw.random_range(4..20));
    let c = draw.random_range(a.max(b) + 1..60);
    let alone = draw.random_range(1..a);
    let rate = ratio(1, a) + ratio(1, b) - ratio(1, c);
    let value = ratio(alone, 1) + (ratio(1, 1) - ratio(alone, a)) / rate;
    Problem {
        text: format!(
            "One pipe fills an empty tank in {a} hours, another one in {b} hours, and an open drain would empty the full tank in {c} \
             hours. The first pipe runs alone for {alone} hours; then the second pipe and the drain are opened too. How many hours \
             after the start is the tank full? Give an exact number."
        ),
        expected: exact(value),
        code: format!(
            "from fractions import Fraction as F\n\nfull = F({alone}, {a})\n\
             print({alone} + (1 - full) / (F(1, {a}) + F(1, {b}) - F(1, {c})))"
        ),
    }
}

/// Coin by coin here, amount by amount there.
pub(super) fn change(draw: &mut Stream) -> Problem {
    let mut coins: Vec<usize> = Vec::new();
    while coins.len() < 5 {
        let coin = draw.random_range(1..40);
        if !coins.contains(&coin) {
            coins.push(coin);
        }
    }
    coins.sort_unstable();
    let amount: usize = draw.random_range(60..240);
    let mut ways = vec![0_u64; amount + 1];
    ways[0] = 1;
    for coin in &coins {
        for sum in *coin..=amount {
            ways[sum] += ways[sum - coin];
        }
    }
    Problem {
        text: format!(
            "A country has coins worth {} pence. In how many ways can {amount} pence be paid with them, if only the number of coins of each kind matters?",
            told(&coins)
        ),
        expected: exact(ways[amount]),
        code: format!(
            "from functools import lru_cache\n\ncoins = {}\n\n@lru_cache(None)\ndef ways(amount, kinds):\n    \
             if kinds == 0:\n        return int(amount == 0)\n    coin = coins[kinds - 1]\n    \
             return sum(ways(amount - n * coin, kinds - 1) for n in range(amount // coin + 1))\n\n\
             print(ways({amount}, len(coins)))",
            list(&coins)
        ),
    }
}

pub(super) fn alloy(draw: &mut Stream) -> Problem {
    let (a, b, p, q): (i64, i64, i64, i64) = (
        draw.random_range(2..40),
        draw.random_range(2..40),
        draw.random_range(5..60),
        draw.random_range(5..60),
    );
    let wanted = draw.random_range(p.max(q) + 1..95);
    // (pa + qb)/100 + x = w/100 (a + b + x)
    let value = ratio(wanted * (a + b) - p * a - q * b, 100 - wanted);
    Problem {
        text: format!(
            "{a} kg of an alloy with {p}% copper are melted together with {b} kg of one with {q}% copper. How many kg of pure \
             copper must be added so that the whole has {wanted}% copper? Give an exact number."
        ),
        expected: exact(value),
        code: format!(
            "from fractions import Fraction as F\n\ndef lack(x):\n    return F({wanted}, 100) * ({a} + {b} + x) - F({p}, 100) * {a} - F({q}, 100) * {b} - x\n\n\
             # It is linear in x.\nprint(lack(0) / (lack(0) - lack(1)))"
        ),
    }
}

/// Month by month, with interest rounded to the cent.
pub(super) fn loan(draw: &mut Stream) -> Problem {
    let name = one_of(draw, NAMES);
    let borrowed: i64 = draw.random_range(20..200) * 100;
    // Tenths of a percent a year, and a payment in euros that is more than the interest.
    let rate: i64 = draw.random_range(10..120);
    let payment = borrowed / draw.random_range(12..60) + 20;
    let (mut owed, mut months) = (borrowed * 100, 0);
    let last = loop {
        months += 1;
        // Half a cent is rounded up.
        owed += (owed * rate * 2 + 12_000) / 24_000;
        if owed <= payment * 100 {
            break owed;
        }
        owed -= payment * 100;
    };
    let asked = draw.random_bool(0.5);
    let (question, expected, printed) = match asked {
        true => (
            "How much is the last payment, in euros?",
            euros(last),
            "f'{owed // 100}.{owed % 100:02d}'",
        ),
        false => (
            "How many payments are there, with the last one?",
            months.to_string(),
            "months",
        ),
    };
    Problem {
        text: format!(
            "{name} borrows {borrowed} euros at {}.{}% interest a year. At the end of each month a twelfth of a year's interest on \
             what is still owed is added, rounded to the cent (half a cent up), and then {payment} euros are paid back, or in the last month \
             whatever is still owed if that is not more. {question}",
            rate / 10,
            rate % 10
        ),
        expected: exact(expected),
        code: format!(
            "from decimal import Decimal, ROUND_HALF_UP\n\nowed, months = {borrowed}00, 0\nwhile True:\n    months += 1\n    \
             interest = Decimal(owed * {rate}) / 12000\n    owed += int(interest.quantize(Decimal(1), ROUND_HALF_UP))\n    \
             if owed <= {payment}00:\n        break\n    owed -= {payment}00\nprint({printed})"
        ),
    }
}

/// The coupon collector who has some already.
pub(super) fn stickers(draw: &mut Stream) -> Problem {
    let name = one_of(draw, NAMES);
    let thing = one_of(draw, &["stickers", "cards", "figures", "stamps"]);
    let all: i64 = draw.random_range(8..40);
    let has = draw.random_range(1..all - 2);
    let value: BigRational = (1..=all - has).map(|missing| ratio(all, missing)).sum();
    Problem {
        text: format!(
            "There are {all} different {thing} to collect, and each packet holds one of them, each equally likely. {name} has {has} \
             different ones. How many more packets are needed on average until the collection is complete? Give an exact fraction."
        ),
        expected: exact(value),
        code: format!(
            "from fractions import Fraction as F\n\nexpected = F(0)\nfor have in range({has}, {all}):\n    \
             new = F({all} - have, {all})\n    expected += 1 / new\nprint(expected)"
        ),
    }
}

/// Day by day, in whole litres.
pub(super) fn reservoir(draw: &mut Stream) -> Problem {
    let start: i64 = draw.random_range(500..20_000);
    let (inflow, leak): (i64, i64) = (draw.random_range(20..900), draw.random_range(1..12));
    let (every, taken, days): (i64, i64, i64) = (
        draw.random_range(3..9),
        draw.random_range(100..3_000),
        draw.random_range(30..365),
    );
    let mut water = start;
    for day in 1..=days {
        water += inflow;
        water -= water * leak / 100;
        if day % every == 0 {
            water -= taken.min(water);
        }
    }
    Problem {
        text: format!(
            "A reservoir holds {start} litres. Each day {inflow} litres flow in; then {leak}% of what is there leak away, rounded down to \
             whole litres; and on every {every}th day (day {every}, day {}, and so on) {taken} litres are taken out last, or all that is there if \
             that is less. How many litres are there at the end of day {days}?",
            2 * every
        ),
        expected: exact(water),
        code: format!(
            "water = {start}\nfor day in range(1, {days} + 1):\n    water += {inflow}\n    water -= water * {leak} // 100\n    \
             if day % {every} == 0:\n        water = max(0, water - {taken})\nprint(water)"
        ),
    }
}
