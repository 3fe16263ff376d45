//! scratch
use hone_engine::*;
use hone_model::*;
use hone_primer::*;
use hone_train::*;
fn main() {
    let dir = std::env::args().nth(1).unwrap();
    let dir = std::path::Path::new(&dir);
    let codec = Codec::load(dir).unwrap();
    let mut l = Learner::new(checkpoint::load(dir).unwrap(), 2);
    for k in [Probe::Copy, Probe::LookUp, Probe::TwoHop] {
        for d in probes(k, 3, 7) {
            let e = document(&codec, &d.messages);
            let s = l.score(
                &[Row {
                    ids: &e.ids,
                    targets: &e.targets,
                }],
                1.0,
            );
            println!("--- {k:?}\n{}", codec.decode(&e.ids));
            let v: Vec<String> = e
                .targets
                .iter()
                .zip(&s[0].logp)
                .zip(&s[0].likeliest)
                .map(|((t, l), b)| {
                    format!(
                        "{}{}[{:.2}]",
                        codec.decode(&[e.ids[*t as usize]]),
                        if *b { "" } else { "!!" },
                        l
                    )
                })
                .collect();
            println!("{}", v.join(" "));
        }
    }
}
