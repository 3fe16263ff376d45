//! Pools: bounds, fairness, age, recycling.
#![cfg(target_os = "linux")]

mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use hone_sandbox::{
    Call, Error, InterpreterSettings, Language, Lease, Pool, PoolError, PoolSettings, ProcessRuntime, SessionSettings,
};

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(50);

fn pool(settings: PoolSettings) -> Option<Arc<Pool>> {
    common::runtime()?;
    let runtime = Arc::new(ProcessRuntime::new().unwrap());
    Some(Pool::start(runtime, InterpreterSettings::default(), settings).unwrap())
}

fn get(pool: &Arc<Pool>, run: &str, patience: Duration) -> Result<Lease, PoolError> {
    pool.session(run, &SessionSettings::new(Language::Python), patience)
}

fn value(lease: &mut Lease, code: &str) -> String {
    lease
        .call(&Call {
            code,
            ..Call::default()
        })
        .unwrap()
        .value
        .unwrap()
}

#[test]
fn no_more_sessions_live_than_may() {
    let settings = PoolSettings {
        sessions: 3,
        per_run: 2,
        queue: 1,
        ..PoolSettings::default()
    };
    let Some(pool) = pool(settings) else { return };
    let mut a = get(&pool, "a", LONG).unwrap();
    let _b = get(&pool, "a", LONG).unwrap();
    assert!(
        matches!(get(&pool, "a", SHORT), Err(PoolError::Late(SHORT))),
        "a run has its quota"
    );
    let c = get(&pool, "b", SHORT).unwrap();
    assert!(
        matches!(get(&pool, "c", SHORT), Err(PoolError::Late(_))),
        "the pool has its bound"
    );
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| get(&pool, "c", LONG).map(|mut lease| value(&mut lease, "6 * 7")));
        common::eventually("it does not wait", || pool.counts().waiting == 1);
        assert!(
            matches!(get(&pool, "c", LONG), Err(PoolError::Full(1))),
            "the queue has its bound"
        );
        drop(c);
        assert_eq!(waiting.join().unwrap().unwrap(), "42");
    });
    assert_eq!(value(&mut a, "1 + 1"), "2");
    let counts = pool.counts();
    assert_eq!(
        (counts.live, counts.waiting, counts.started, counts.refused),
        (2, 0, 4, 3)
    );
    assert!(
        pool.metrics()
            .contains("# TYPE hone_sandbox_live gauge\nhone_sandbox_live 2\n"),
        "{}",
        pool.metrics()
    );
}

#[test]
fn a_run_with_few_sessions_comes_before_one_with_many() {
    let Some(pool) = pool(PoolSettings {
        sessions: 2,
        ..PoolSettings::default()
    }) else {
        return;
    };
    let held = [get(&pool, "greedy", LONG).unwrap(), get(&pool, "greedy", LONG).unwrap()];
    let order = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        let order = &order;
        // Greedy asks first, and has one session still when room is made.
        for (n, run) in ["greedy", "greedy", "modest"].into_iter().enumerate() {
            let pool = &pool;
            scope.spawn(move || {
                let lease = get(pool, run, LONG).unwrap();
                order.lock().unwrap().push(run);
                drop(lease);
            });
            common::eventually("it does not wait", || pool.counts().waiting == n + 1);
        }
        let [one, other] = held;
        drop(one);
        common::eventually("nobody goes on", || !order.lock().unwrap().is_empty());
        drop(other);
    });
    assert_eq!(order.lock().unwrap()[0], "modest");
    assert_eq!(pool.counts().live, 0);
}

#[test]
fn an_old_session_makes_room_when_somebody_waits() {
    let settings = PoolSettings {
        sessions: 1,
        ttl: Duration::from_millis(200),
        ..PoolSettings::default()
    };
    let Some(pool) = pool(settings) else { return };
    let mut old = get(&pool, "a", LONG).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(value(&mut old, "1"), "1", "nobody waits: it goes on");
    let mut new = get(&pool, "b", LONG).unwrap();
    assert!(matches!(
        old.call(&Call {
            code: "1",
            ..Call::default()
        }),
        Err(Error::Lost(_))
    ));
    assert_eq!(value(&mut new, "2"), "2");
    assert_eq!((pool.counts().expired, pool.counts().live), (1, 1));
    drop(old);
    assert_eq!(pool.counts().live, 1, "what was taken away frees nothing twice");
}

#[test]
fn a_holder_that_falls_silent_after_a_heartbeat_makes_room() {
    let settings = PoolSettings {
        sessions: 2,
        heartbeat: Duration::from_millis(200),
        ..PoolSettings::default()
    };
    let Some(pool) = pool(settings) else { return };
    let (mut silent, mut quiet) = (get(&pool, "a", LONG).unwrap(), get(&pool, "b", LONG).unwrap());
    silent.heartbeat();
    std::thread::sleep(Duration::from_millis(300));
    let new = get(&pool, "c", LONG).unwrap();
    let call = Call {
        code: "1",
        ..Call::default()
    };
    assert!(matches!(silent.call(&call), Err(Error::Lost(_))));
    // The other one has never sent any, so that it may be silent.
    assert!(matches!(get(&pool, "d", SHORT), Err(PoolError::Late(_))));
    assert_eq!(value(&mut quiet, "2"), "2");
    assert_eq!((pool.counts().expired, pool.counts().live), (1, 2));
    drop(new);
    // Calls are signs of life too.
    let mut lively = get(&pool, "e", LONG).unwrap();
    lively.heartbeat();
    for _ in 0..3 {
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(value(&mut lively, "3"), "3");
    }
    assert!(pool.probe().is_ok(), "a probe takes nobody's place");
    assert_eq!(pool.counts().live, 2);
}

#[test]
fn interpreters_are_replaced_when_they_are_worn_out() {
    let Some(pool) = pool(PoolSettings {
        recycle: 2,
        ..PoolSettings::default()
    }) else {
        return;
    };
    let mut leases: Vec<Lease> = (0..5).map(|_| get(&pool, "a", LONG).unwrap()).collect();
    assert_eq!(pool.counts().interpreters, 3);
    // Sessions of the old ones go on.
    assert!(leases.iter_mut().all(|lease| value(lease, "1 + 1") == "2"));
}

#[test]
fn many_at_once_are_right_or_refused() {
    let settings = PoolSettings {
        sessions: 4,
        queue: 8,
        ..PoolSettings::default()
    };
    let Some(pool) = pool(settings) else { return };
    let (mut right, mut refused) = (0, 0);
    std::thread::scope(|scope| {
        let pool = &pool;
        let work = |n: usize| {
            let mut lease = get(pool, &format!("run {}", n % 3), LONG)?;
            Ok::<_, PoolError>(value(&mut lease, &format!("{n} * 2")) == (n * 2).to_string())
        };
        let threads: Vec<_> = (0..40).map(|n| scope.spawn(move || work(n))).collect();
        for thread in threads {
            match thread.join().unwrap() {
                Ok(true) => right += 1,
                Err(PoolError::Full(_)) => refused += 1,
                other => panic!("{other:?}"),
            }
        }
    });
    assert!(right >= 4 && right + refused == 40, "{right} {refused}");
    let counts = pool.counts();
    assert_eq!((counts.live, counts.waiting, counts.refused), (0, 0, refused));
}
