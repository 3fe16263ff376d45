//! Time to judge the gold answers of a data folder: `speed DATA`.

use hone_bfcl::{Names, Settings, Suite, evaluate, gold};
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let data = std::env::args().nth(1).ok_or("usage: speed DATA")?;
    let start = Instant::now();
    let suite = Suite::load(data.as_ref())?;
    println!("load: {:.3} s", start.elapsed().as_secs_f64());
    for (category, records) in &suite.categories {
        let answers: Vec<_> = records.iter().map(|record| gold(record, Names::Dotted)).collect();
        let start = Instant::now();
        let rounds = 10;
        let mut valid = 0;
        for _ in 0..rounds {
            let judged = records
                .iter()
                .zip(&answers)
                .map(|(record, answer)| evaluate(record, answer, Settings::default()));
            valid = judged.filter(|verdict| verdict.valid).count();
        }
        let micros = start.elapsed().as_secs_f64() * 1e6 / (rounds * records.len().max(1)) as f64;
        println!(
            "{}: {valid} of {} valid, {micros:.2} µs an answer",
            category.name(),
            records.len()
        );
    }
    Ok(())
}
