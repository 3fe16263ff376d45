//! How long worlds and rewards take: `tau_speed DATA [AIRLINE]`, microseconds per task of each domain.

use hone_tau::Domains;
use hone_tau::evaluate::{Run, evaluate, gold_messages};
use hone_tau::task::Component;
use hone_tau::toolkit::Side;
use std::path::PathBuf;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut folders = std::env::args_os().skip(1).map(PathBuf::from);
    let data = folders.next().ok_or("say where the data are")?;
    let start = Instant::now();
    let domains = Domains::load(&data, &folders.next().unwrap_or_default());
    println!("loading all domains: {:.0} ms", start.elapsed().as_secs_f64() * 1e3);
    for domain in hone_tau::DOMAINS {
        let fresh = domains.world(domain)?;
        let mut tasks = domains.tasks(domain)?;
        for criteria in tasks.iter_mut().filter_map(|task| task.evaluation_criteria.as_mut()) {
            criteria
                .reward_basis
                .retain(|component| *component != Component::NlAssertion);
        }
        let rounds = 200;
        let per = |seconds: f64| seconds * 1e6 / f64::from(rounds) / tasks.len() as f64;
        let start = Instant::now();
        for _ in 0..rounds * tasks.len() as u32 {
            std::hint::black_box(fresh.fork());
        }
        let fork = per(start.elapsed().as_secs_f64());
        let start = Instant::now();
        let mut passed = 0;
        for _ in 0..rounds {
            for task in &tasks {
                let messages = gold_messages(&*fresh, task)?;
                // A task whose assertion cannot run on the reference solution counts as not passed.
                let reward = evaluate(&*fresh, task, &Run::ended(&messages), None);
                passed += u32::from(reward.is_ok_and(|reward| reward.reward == 1.0));
            }
        }
        let replay = per(start.elapsed().as_secs_f64());
        let mut world = fresh.fork();
        for task in &tasks {
            for action in hone_tau::evaluate::gold_actions(task) {
                world.respond(action.requestor, &action.name, &action.arguments);
            }
        }
        let start = Instant::now();
        for _ in 0..20 {
            std::hint::black_box(world.hash(Side::Assistant));
        }
        let hash = start.elapsed().as_secs_f64() * 1e6 / 20.0;
        println!(
            "{domain}: fork {fork:.2} us, reference solution played and judged {replay:.0} us per task ({} of {} passed), \
             hash of a changed database {hash:.0} us",
            passed / rounds,
            tasks.len()
        );
    }
    Ok(())
}
