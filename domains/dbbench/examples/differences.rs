//! How the records' own statements fare here: `differences DATA FILE` prints those that do not give their label, and counts.

use hone_dbbench::{Database, Outcome, load, outcome, report};
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(data), Some(file)) = (arguments.next(), arguments.next()) else {
        return Err("write differences DATA FILE".into());
    };
    let records = load(Path::new(&data), &file)?;
    for record in &records {
        let outcome = outcome(record);
        if outcome == Outcome::Equal {
            continue;
        }
        let statement = record.statement().unwrap_or_default();
        let shown =
            Database::of(&record.tables).map_or_else(|e| e.to_string(), |mut database| database.execute(statement));
        println!(
            "{}\t{outcome:?}\t{}\n\t{statement}\n\tgives {shown}\n\tlabel {}",
            record.id, record.description, record.label
        );
    }
    println!("{}", report(&records));
    Ok(())
}
