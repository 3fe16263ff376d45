//! A task, turn by turn and step by step, as a harness runs it.

use super::judge::{Judged, judge};
use super::task::{STEP_LIMIT, Task, calls};
use super::world::{Settings, World, WorldError};
use crate::decode::Answer;
use hone_python::Value;

/// What follows an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The calls were executed; the model is told their results, each with its call, and answers again.
    Results(Vec<(String, String)>),
    /// The answer calls nothing: the turn is over.
    TurnOver,
    /// The turn had too many steps: the task is over, and has failed if turns are left.
    Quit,
}

/// A task under way.
#[derive(Clone, Debug)]
pub struct Episode<'a> {
    task: &'a Task,
    settings: &'a Settings,
    world: World,
    turns: Vec<Vec<Vec<String>>>,
    steps: usize,
    over: bool,
    quit: bool,
}

impl<'a> Episode<'a> {
    /// Begin a task.
    ///
    /// # Errors
    /// When the task's world cannot be made.
    pub fn new(task: &'a Task, settings: &'a Settings) -> Result<Self, WorldError> {
        Ok(Self {
            world: task.world(settings)?,
            task,
            settings,
            turns: vec![vec![]],
            steps: 0,
            over: task.turns.is_empty(),
            quit: false,
        })
    }

    /// The turn, from 0 on.
    pub fn turn(&self) -> usize {
        self.turns.len() - 1
    }

    /// Whether the task is at its end.
    pub fn over(&self) -> bool {
        self.over || self.quit
    }

    /// What is said at the beginning of the turn.
    pub fn messages(&self, prompted: bool) -> Vec<(String, String)> {
        self.task.messages(self.turn(), prompted)
    }

    /// Descriptions of the tools on offer in the turn.
    pub fn offered(&self) -> Vec<&'a Value> {
        self.task.offered(self.turn())
    }

    /// The world as it is.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Take an answer. After [`Step::TurnOver`] the next turn begins, if there is one.
    pub fn step(&mut self, answer: &Answer) -> Step {
        if self.over() {
            return Step::TurnOver;
        }
        let Some(calls) = calls(answer) else {
            if self.turns.len() == self.task.turns.len() {
                self.over = true;
            } else {
                self.turns.push(vec![]);
            }
            self.steps = 0;
            return Step::TurnOver;
        };
        let results = calls
            .iter()
            .map(|call| (call.clone(), self.world.execute(call)))
            .collect();
        if let Some(turn) = self.turns.last_mut() {
            turn.push(calls);
        }
        self.steps += 1;
        // The original counts after executing, and stops beyond the limit.
        if self.steps > STEP_LIMIT {
            self.quit = true;
            return Step::Quit;
        }
        Step::Results(results)
    }

    /// Judge what has been called. A task that did not come to its last turn has failed. As in the original, one that had too
    /// many steps in its last turn is judged like any other.
    ///
    /// # Errors
    /// When the task's world cannot be made.
    pub fn judge(&self) -> Result<Judged, WorldError> {
        // An incomplete list of turns is what fails the task.
        let complete = self.over() || self.turns.len() < self.task.turns.len();
        let turns = if complete {
            &self.turns[..]
        } else {
            &self.turns[..self.turns.len() - 1]
        };
        judge(self.task, turns, self.settings)
    }
}
