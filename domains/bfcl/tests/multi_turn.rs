//! The multi-turn tasks: the real ones, and worlds of our own.

mod common;

use common::data_dir;
use hone_bfcl::Answer;
use hone_bfcl::multi_turn::{
    CLASSES, Day, Episode, Settings, Step, Tasks, World, calls, gold_turns, idle_turns, judge,
};
use hone_python::{Expr, Value, loads, parse};
use proptest::prelude::*;

fn tasks() -> Option<Tasks> {
    match Tasks::load(&data_dir()) {
        Ok(tasks) => Some(tasks),
        Err(error) if std::env::var_os("CI").is_some() => panic!("{error}"),
        Err(error) => {
            eprintln!("skipped: this test judges the real tasks, and {error}");
            None
        }
    }
}

fn settings() -> Settings {
    Settings {
        today: Day(2026, 1, 1),
        ..Settings::default()
    }
}

/// A world of one class.
fn world(class: &str, config: &str) -> World {
    let config = format!("{{\"{class}\": {config}}}");
    let config = loads(&config).expect("JSON");
    World::new("own_0", &config, &[class.to_owned()], false, "", &settings()).expect("a world")
}

fn run(world: &mut World, calls: &[(&str, &str)]) {
    for (call, result) in calls {
        assert_eq!(world.execute(call), *result, "{call}");
    }
}

#[test]
fn gold_passes_and_nothing_does_not() {
    let Some(tasks) = tasks() else { return };
    let settings = settings();
    for (category, tasks) in &tasks.categories {
        if category.name() == "multi_turn_long_context" {
            continue;
        }
        assert_eq!(tasks.len(), 200, "{category:?}");
        for task in tasks {
            let judged = judge(task, &gold_turns(task), &settings).expect("a world");
            assert!(judged.verdict.valid, "{}: {}", task.id, judged.verdict.why);
            let judged = judge(task, &idle_turns(task), &settings).expect("a world");
            let expected = Some("multi_turn:empty_turn_model_response");
            assert_eq!(judged.verdict.error_type, expected, "{}", task.id);
        }
    }
}

#[test]
fn withheld_functions_come_with_their_turn() {
    let Some(tasks) = tasks() else { return };
    let withheld = tasks.tasks().filter(|task| !task.withheld.is_empty());
    let mut seen = 0;
    for task in withheld {
        for (turn, functions) in &task.withheld {
            assert!(task.turns[*turn].is_empty(), "{}", task.id);
            assert_eq!(
                task.offered(*turn).len(),
                task.offered(turn - 1).len() + functions.len()
            );
            assert_eq!(task.messages(*turn, false).len(), 1);
            assert!(task.messages(*turn, true)[0].1.starts_with("[{'name': '"));
            seen += 1;
        }
    }
    assert_eq!(seen, 200);
}

#[test]
fn an_episode_follows_the_gold() {
    let Some(tasks) = tasks() else { return };
    let settings = settings();
    // The decoder of prompted models passes over arguments by position, in the original too.
    let named = |call: &String| matches!(parse(call.trim()), Ok(Expr::Call(call)) if call.args.is_empty());
    let short = tasks
        .tasks()
        .filter(|task| task.category.name() != "multi_turn_long_context");
    let named: Vec<_> = short.filter(|task| task.gold.iter().flatten().all(named)).collect();
    for task in named.iter().copied().take(50) {
        let mut episode = Episode::new(task, &settings).expect("a world");
        for gold in &task.gold {
            if !gold.is_empty() {
                let answer = Answer::Text(format!("[{}]", gold.join(", ")));
                assert!(matches!(episode.step(&answer), Step::Results(results) if results.len() == gold.len()));
            }
            assert_eq!(episode.step(&Answer::Text("Done.".into())), Step::TurnOver);
        }
        assert!(episode.over());
        let judged = episode.judge().expect("a world");
        assert!(judged.verdict.valid, "{}: {}", task.id, judged.verdict.why);
    }
    let task = *named.first().expect("a task");
    let mut episode = Episode::new(task, &settings).expect("a world");
    let again = Answer::Text("[pwd()]".into());
    let steps = std::iter::repeat_with(|| episode.step(&again))
        .take_while(|step| *step != Step::Quit)
        .count();
    assert_eq!(steps, 20);
    assert_eq!(
        episode.judge().expect("a world").verdict.error_type,
        Some("multi_turn:force_terminated")
    );
    // Beyond the limit in the last turn there are answers to all turns, and the original judges them.
    let mut episode = Episode::new(task, &settings).expect("a world");
    for (turn, gold) in task.gold.iter().enumerate() {
        episode.step(&Answer::Text(format!("[{}]", gold.join(", "))));
        if turn + 1 < task.gold.len() {
            episode.step(&Answer::Text("Done.".into()));
        }
    }
    while episode.step(&again) != Step::Quit {}
    let judged = episode.judge().expect("a world");
    assert!(judged.verdict.valid, "{}", judged.verdict.why);
}

#[test]
fn calls_are_written_as_the_original_writes_them() {
    let text = |text: &str| calls(&Answer::Text(text.into()));
    assert_eq!(
        text("[f(a=1, b='x'), g()]"),
        Some(vec!["f(a=1, b='x')".into(), "g()".into()])
    );
    assert_eq!(text("I am done."), None);
    assert_eq!(text("[]"), None);
    assert_eq!(text("f(a=g(b=2))"), Some(vec!["f(a=g(b=2))".into()]));
    assert_eq!(text("f(a={'b': 'c'})"), Some(vec!["f(a={'b': 'c'})".into()]));
    assert_eq!(text("f(a={})"), None);
    let given = Answer::Calls(vec![("f".into(), "{\"a\": 1, \"b\": [true]}".into())]);
    assert_eq!(calls(&given), Some(vec!["f(a=1,b=[True])".into()]));
}

#[test]
fn files() {
    let config = r#"{"root": {"w": {"type": "directory", "contents": {
        "a.txt": {"type": "file", "content": "b x\na"}, "d": {"type": "directory", "contents": {}}}}}}"#;
    let mut world = world("GorillaFileSystem", config);
    let fork = world.clone();
    run(
        &mut world,
        &[
            ("pwd()", r#"{"current_working_directory": "/w"}"#),
            ("sort('a.txt')", r#"{"sorted_content": "a\nb x"}"#),
            ("wc('a.txt', mode='w')", r#"{"count": 3, "type": "words"}"#),
            (
                "cp(source='a.txt', destination='d')",
                r#"{"result": "'a.txt' copied to 'd/a.txt'"}"#,
            ),
            ("mv('d', 'e')", r#"{"result": "'d' moved to 'e'"}"#),
            ("find(name='a')", r#"{"matches": ["./a.txt", "./e/a.txt"]}"#),
            ("cd('e/')", r#"{"current_working_directory": "e"}"#),
            ("cd('..')", "{}"),
            (
                "cd('..')",
                r#"{"error": "Current directory is already the root. Cannot go back."}"#,
            ),
            ("touch('n')", "None"),
            ("echo(content='see ls (now)', file_name='n')", "None"),
            (
                "cat('n')",
                r#"{"file_content": "see model_own_0_GorillaFileSystem_instance.ls(now)"}"#,
            ),
            ("du(True)", r#"{"disk_usage": "60.00 B"}"#),
            ("tail('a.txt', 1)", r#"{"last_lines": "a"}"#),
            (
                "mkdir(7)",
                "Error during execution: argument of type 'int' is not iterable",
            ),
            (
                "cat()",
                "Error during execution: GorillaFileSystem.cat() missing 1 required positional argument: 'file_name'",
            ),
            (
                "kill('x')",
                "Error during execution: Function call kill is not allowed.",
            ),
            ("nothing(1)", "Error during execution: name 'nothing' is not defined"),
            ("cp('e', 'e')", r#"{"result": "'e' copied to 'e/e'"}"#),
            ("du()", "Error during execution: maximum recursion depth exceeded"),
        ],
    );
    assert_eq!(
        fork.clone().execute("ls()"),
        r#"{"current_directory_content": ["a.txt", "d"]}"#
    );
}

#[test]
fn vehicle() {
    let mut world = world("VehicleControlAPI", r#"{"fuelLevel": 5.0, "random_seed": 1}"#);
    run(
        &mut world,
        &[
            (
                "fillFuelTank(fuelAmount=45.5)",
                r#"{"error": "Cannot fill gas above the tank capacity."}"#,
            ),
            (
                "lockDoors(unlock=False, door=['driver'])",
                r#"{"lockStatus": "locked", "remainingUnlockedDoors": 3}"#,
            ),
            (
                "pressBrakePedal(1)",
                r#"{"brakePedalStatus": "pressed", "brakePedalForce": 1000.0}"#,
            ),
            ("get_current_speed()", r#"{"currentSpeed": 16.123709293488147}"#),
            (
                "liter_to_gallon(liter='x')",
                "Error during execution: can't multiply sequence by non-int of type 'float'",
            ),
        ],
    );
}

#[test]
fn trading_and_travel() {
    let mut trading = world("TradingBot", r#"{"authenticated": true}"#);
    run(
        &mut trading,
        &[
            (
                "place_order('Buy', 'AAPL', 300, 50)",
                r#"{"error": "Insufficient funds: required $15000.00 but only $10000.00 available."}"#,
            ),
            (
                "place_order(order_type='Sell', symbol='AAPL', price=1, amount=2)",
                r#"{"order_id": 12446, "order_type": "Sell", "status": "Pending", "price": 1.0, "amount": 2}"#,
            ),
            ("get_order_history()", r#"{"history": [12345, 12446]}"#),
        ],
    );
    let mut travel = world("TravelAPI", r#"{"access_token": "t", "token_expires_in": 2}"#);
    run(
        &mut travel,
        &[
            (
                "get_flight_cost('SFO', 'LAX', '2024-11-10', 'first')",
                r#"{"travel_cost_list": [1000.0]}"#,
            ),
            (
                "compute_exchange_rate('RMB', 'USD', 10)",
                r#"{"exchanged_value": 1.43}"#,
            ),
            (
                "book_flight('t', 'c', '2024-13-01', 'SFO', 'LAX', 'first')",
                r#"{"booking_status": false, "error": "Card not registered"}"#,
            ),
        ],
    );
}

#[test]
fn messages_posts_tickets() {
    let mut messages = world("MessageAPI", r#"{"current_user": "USR001"}"#);
    run(
        &mut messages,
        &[
            (
                "delete_message('USR003')",
                r#"{"deleted_status": true, "receiver_id": "USR003", "message": "Receiver USR003's latest message deleted successfully."}"#,
            ),
            (
                "add_contact('Eve')",
                r#"{"added_status": true, "user_id": "USR005", "message": "Contact 'Eve' added successfully."}"#,
            ),
        ],
    );
    let mut posts = world("TwitterAPI", r#"{"authenticated": true}"#);
    run(
        &mut posts,
        &[
            (
                "post_tweet('a')",
                r#"{"id": 0, "username": "john", "content": "a", "tags": [], "mentions": []}"#,
            ),
            (
                "mention(0, ['@b'])",
                r#"{"mention_status": "Users mentioned successfully"}"#,
            ),
            // The default list is one for all posts.
            (
                "post_tweet('c')",
                r#"{"id": 1, "username": "john", "content": "c", "tags": [], "mentions": ["@b"]}"#,
            ),
        ],
    );
    let mut tickets = world("TicketAPI", r#"{"current_user": "u"}"#);
    run(
        &mut tickets,
        &[
            (
                "create_ticket('t', priority=9)",
                r#"{"error": "Invalid priority. Priority must be between 1 and 5."}"#,
            ),
            (
                "create_ticket('t')",
                r#"{"id": 1, "title": "t", "description": "", "status": "Open", "priority": 1, "created_by": "u"}"#,
            ),
            (
                "edit_ticket(1, {'x': 1})",
                r#"{"error": "Invalid fields for update: x"}"#,
            ),
            (
                "resolve_ticket(True, 'r')",
                r#"{"status": "Ticket True has been resolved successfully."}"#,
            ),
        ],
    );
}

#[test]
fn mathematics() {
    let mut world = world("MathAPI", "{}");
    run(
        &mut world,
        &[
            ("logarithm(value=20,base=10,precision=2)", "{'result': mpf('1.3027')}"),
            ("square_root(2, 5)", "{'result': Decimal('1.4142')}"),
            ("square_root(2.25, 50)", "{'result': Decimal('1.5')}"),
            ("mean([1, 2])", r#"{"result": 1.5}"#),
            ("round_number(2.675, 2)", r#"{"result": 2.67}"#),
            ("round_number(1250, -2)", r#"{"result": 1200}"#),
            (
                "power(-8, 0.5)",
                "{'result': (1.7319121124709868e-16+2.8284271247461903j)}",
            ),
            ("add(1, add(2, 3)['result'])", r#"{"result": 6}"#),
            ("add('a', 'b')", r#"{"result": "ab"}"#),
            ("divide(1, 0)", r#"{"error": "Cannot divide by zero"}"#),
        ],
    );
}

fn any_argument() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("'x'".to_owned()),
        Just("1".to_owned()),
        Just("-2.5".to_owned()),
        Just("None".to_owned()),
        Just("True".to_owned()),
        Just("[]".to_owned()),
        Just("['a', 1]".to_owned()),
        Just("{'a': None}".to_owned()),
        Just("('.',)".to_owned()),
        Just("'.'".to_owned()),
        Just("10 ** 400".to_owned()),
        Just("1e308 * 10".to_owned()),
        Just("'2024-01-01'".to_owned()),
        "[ -~]{0,12}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_call_panics(script in prop::collection::vec((any::<prop::sample::Index>(), prop::collection::vec(any_argument(), 0..4)), 1..40)) {
        let involved: Vec<String> = CLASSES.iter().map(ToString::to_string).collect();
        let mut world = World::new("own_1", &Value::Dict(Default::default()), &involved, false, "", &settings()).expect("a world");
        let tools: Vec<_> = CLASSES.iter().flat_map(|class| world.tools(class)).collect();
        for (tool, arguments) in script {
            let result = world.execute(&format!("{}({})", tool.get(&tools), arguments.join(", ")));
            prop_assert!(result.len() < 1 << 20);
        }
        world.state();
    }
}
