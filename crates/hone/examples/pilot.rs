//! scratch: make the base
use hone_model::*;
use hone_primer::*;
use hone_train::recipe::*;
use hone_train::*;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
struct P(Primer);
impl Corpus for P {
    fn document(&self, i: u64) -> Vec<Message> {
        self.0.document(i).messages
    }
    fn probes(&self, n: usize) -> BTreeMap<&'static str, Vec<Vec<Message>>> {
        [
            ("copy", Probe::Copy),
            ("look_up", Probe::LookUp),
            ("two_hop", Probe::TwoHop),
        ]
        .into_iter()
        .map(|(k, p)| (k, probes(p, n, 7).into_iter().map(|d| d.messages).collect()))
        .collect()
    }
}
struct O(f64, std::time::Instant);
impl Observer for O {
    fn phase(&mut self, n: &str) {
        eprintln!("{n}");
    }
    fn note(&mut self, n: &str) {
        eprintln!("{n}");
    }
    fn step(&mut self, s: &Step<'_>) {
        self.0 += s.metrics[0].1;
        if s.step % 100 == 99 {
            eprintln!(
                "{} loss {:.4} {:?} {:.0}s",
                s.step + 1,
                self.0 / 100.0,
                &s.metrics[2..],
                self.1.elapsed().as_secs_f64()
            );
            self.0 = 0.0;
        }
    }
}
fn main() {
    let file = std::env::args().nth(1).unwrap();
    let Recipe::Base(r) = Recipe::parse(&std::fs::read_to_string(&file).unwrap(), &file).unwrap() else {
        panic!()
    };
    let out = std::env::args().nth(2).unwrap();
    let out = std::path::Path::new(&out);
    let codec = train_tokenizer(tokenizer_texts(), r.model.vocab_size).unwrap();
    let c = P(Primer::new(r.seed));
    codec.save(out).unwrap();
    codec
        .save(std::path::Path::new(&format!("{}-work", out.display())))
        .unwrap();
    let mut l = make_base(
        &r,
        &codec,
        &c,
        std::path::Path::new(&format!("{}-work", out.display())),
        2,
        &mut O(0.0, std::time::Instant::now()),
        &AtomicBool::new(false),
    )
    .unwrap();
    codec.save(out).unwrap();
    hone_engine::checkpoint::save(out, &l.weights()).unwrap();
    println!("{:?}", probe(&mut l, &codec, &c, r.probes));
}
