//! `TwitterAPI`: posts, comments and followers.
//!
//! A post without mentions holds the list that is its parameter's default, and in Python that is one list for all such
//! posts of a process: who is mentioned in one of them is mentioned in all, in the gold's world as in the model's.

use super::backend::{Backend, Default, given, tools};
use super::operate::{add, contains, dict, error, field, item, iterate, mapping, mapping_mut, sequence_mut, string};
use super::raise::{Outcome, Raised};
use hone_python::{Dict, Value, text};
use std::borrow::Cow;

/// The class's state.
#[derive(Clone)]
pub(super) struct Posting {
    username: Value,
    password: Value,
    authenticated: Value,
    tweets: Value,
    comments: Value,
    retweets: Value,
    following_list: Value,
    tweet_counter: Value,
    /// The list that posts without mentions share, and the ids of those posts.
    default_mentions: Vec<Value>,
    sharing: Vec<Value>,
    /// Whether the call under way leaves its mentions out.
    without_mentions: bool,
}

impl Posting {
    pub fn load(scenario: &Value) -> Outcome<Self> {
        let mut tweets = Dict::new();
        for (key, tweet) in mapping(&given(scenario, "tweets", || dict! {}), "items")?.iter() {
            let number = key.as_str().and_then(text::int);
            let number = number
                .ok_or_else(|| Raised::value(format!("invalid literal for int() with base 10: {}", key.repr())))?;
            tweets.insert(number.into(), tweet.clone())?;
        }
        Ok(Self {
            username: given(scenario, "username", || "john".into()),
            password: given(scenario, "password", || "john123".into()),
            authenticated: given(scenario, "authenticated", || false.into()),
            tweets: tweets.into(),
            comments: given(scenario, "comments", || dict! {}),
            retweets: given(scenario, "retweets", || dict! {}),
            following_list: given(scenario, "following_list", || super::operate::texts(&["alice", "bob"])),
            tweet_counter: given(scenario, "tweet_counter", || 0.into()),
            default_mentions: vec![],
            sharing: vec![],
            without_mentions: false,
        })
    }

    fn tweet(&mut self, id: &Value) -> Outcome<&mut Value> {
        let tweets = mapping_mut(&mut self.tweets, "values")?;
        let found = tweets.iter_mut().find(|(key, _)| *key == id);
        found.map(|(_, tweet)| tweet).ok_or_else(|| Raised::key(id))
    }

    fn unknown(&self, id: &Value) -> Outcome<Option<Value>> {
        if contains(&self.tweets, id)? {
            return Ok(None);
        }
        error(format!("Tweet with ID {id} not found.")).map(Some)
    }

    fn all(&self) -> Outcome<&Dict> {
        mapping(&self.tweets, "values")
    }

    fn authenticate_twitter(&mut self, username: Value, password: Value) -> Outcome {
        let right = username == self.username && password == self.password;
        if right {
            self.authenticated = true.into();
        }
        Ok(dict! { "authentication_status" => right })
    }

    fn posting_get_login_status(&mut self) -> Outcome {
        Ok(dict! { "login_status" => self.authenticated.truthy() })
    }

    fn post_tweet(&mut self, content: Value, tags: Value, mentions: Value) -> Outcome {
        if !self.authenticated.truthy() {
            return error("User not authenticated. Please authenticate before posting.");
        }
        let id = self.tweet_counter.clone();
        let mentions = if self.without_mentions {
            self.sharing.push(id.clone());
            Value::List(self.default_mentions.clone())
        } else {
            self.sharing.retain(|sharing| *sharing != id);
            mentions
        };
        let tweet = dict! {
            "id" => id.clone(),
            "username" => self.username.clone(),
            "content" => content,
            "tags" => tags,
            "mentions" => mentions,
        };
        mapping_mut(&mut self.tweets, "values")?.insert(id.clone(), tweet.clone())?;
        self.tweet_counter = add(&id, &1.into())?;
        Ok(tweet)
    }

    fn retweet(&mut self, tweet_id: Value) -> Outcome {
        if !self.authenticated.truthy() {
            return error("User not authenticated. Please authenticate before retweeting.");
        }
        if let Some(unknown) = self.unknown(&tweet_id)? {
            return Ok(unknown);
        }
        append(&mut self.retweets, &self.username, tweet_id, true).map(|added| {
            let status = if added {
                "Successfully retweeted"
            } else {
                "Already retweeted"
            };
            dict! { "retweet_status" => status }
        })
    }

    fn comment(&mut self, tweet_id: Value, comment_content: Value) -> Outcome {
        if !self.authenticated.truthy() {
            return error("User not authenticated. Please authenticate before commenting.");
        }
        if let Some(unknown) = self.unknown(&tweet_id)? {
            return Ok(unknown);
        }
        let comment = dict! { "username" => self.username.clone(), "content" => comment_content };
        append(&mut self.comments, &tweet_id, comment, false)?;
        Ok(dict! { "comment_status" => "Comment added successfully" })
    }

    fn mention(&mut self, tweet_id: Value, mentioned_usernames: Value) -> Outcome {
        if let Some(unknown) = self.unknown(&tweet_id)? {
            return Ok(unknown);
        }
        let shared = self.sharing.contains(&tweet_id);
        let mentions = super::operate::item_mut(self.tweet(&tweet_id)?, "mentions")?;
        let mentions = sequence_mut(mentions, "extend")?;
        mentions.extend(iterate(&mentioned_usernames)?);
        if shared {
            let list = mentions.clone();
            self.share(&list);
        }
        Ok(dict! { "mention_status" => "Users mentioned successfully" })
    }

    fn follow_user(&mut self, username: Value) -> Outcome {
        if !self.authenticated.truthy() {
            return error("User not authenticated. Please authenticate before following.");
        }
        let follows = contains(&self.following_list, &username)?;
        if !follows {
            sequence_mut(&mut self.following_list, "append")?.push(username);
        }
        Ok(dict! { "follow_status" => !follows })
    }

    fn list_all_following(&mut self) -> Outcome {
        if !self.authenticated.truthy() {
            return error("User not authenticated. Please authenticate before listing following.");
        }
        Ok(dict! { "following_list" => self.following_list.clone() })
    }

    fn unfollow_user(&mut self, username: Value) -> Outcome {
        if !self.authenticated.truthy() {
            return error("User not authenticated. Please authenticate before unfollowing.");
        }
        if !contains(&self.following_list, &username)? {
            return Ok(dict! { "unfollow_status" => false });
        }
        let list = sequence_mut(&mut self.following_list, "remove")?;
        if let Some(at) = list.iter().position(|followed| *followed == username) {
            list.remove(at);
        }
        Ok(dict! { "unfollow_status" => true })
    }

    fn get_tweet(&mut self, tweet_id: Value) -> Outcome {
        if let Some(unknown) = self.unknown(&tweet_id)? {
            return Ok(unknown);
        }
        item(&self.tweets, &tweet_id).cloned()
    }

    fn get_user_tweets(&mut self, username: Value) -> Outcome {
        let mut found = vec![];
        for tweet in self.all()?.values() {
            if *field(tweet, "username")? == username {
                found.push(tweet.clone());
            }
        }
        Ok(Value::List(found))
    }

    fn search_tweets(&mut self, keyword: Value) -> Outcome {
        let mut found = vec![];
        for tweet in self.all()?.values() {
            let keyword = string(&keyword, "lower")?.to_lowercase();
            let mut hit = string(field(tweet, "content")?, "lower")?
                .to_lowercase()
                .contains(&keyword);
            if !hit {
                for tag in iterate(field(tweet, "tags")?)? {
                    hit |= string(&tag, "lower")?.to_lowercase() == keyword;
                }
            }
            if hit {
                found.push(tweet.clone());
            }
        }
        Ok(Value::List(found))
    }

    fn get_tweet_comments(&mut self, tweet_id: Value) -> Outcome {
        if let Some(unknown) = self.unknown(&tweet_id)? {
            return Ok(unknown);
        }
        let found = mapping(&self.comments, "get")?.lookup(&tweet_id)?.cloned();
        Ok(found.unwrap_or_else(|| Value::List(vec![])))
    }

    fn get_user_stats(&mut self, username: Value) -> Outcome {
        let mut tweets = 0;
        for tweet in self.all()?.values() {
            tweets += i64::from(*field(tweet, "username")? == username);
        }
        let following = if username == self.username {
            super::operate::len(&self.following_list)?
        } else {
            0
        };
        let retweets = match mapping(&self.retweets, "get")?.lookup(&username)? {
            Some(list) => super::operate::len(list)?,
            None => 0,
        };
        Ok(dict! { "tweet_count" => tweets, "following_count" => following, "retweet_count" => retweets })
    }
}

/// Append to the list that a dictionary has at a key, an empty one at first; with `once`, only what is not in it.
fn append(dict: &mut Value, key: &Value, value: Value, once: bool) -> Outcome<bool> {
    let dict = mapping_mut(dict, "get")?;
    if dict.lookup(key)?.is_none() {
        dict.insert(key.clone(), Value::List(vec![]))?;
    }
    let Some((_, list)) = dict.iter_mut().find(|(known, _)| *known == key) else {
        return Ok(false);
    };
    if once && contains(list, &value)? {
        return Ok(false);
    }
    sequence_mut(list, "append")?.push(value);
    Ok(true)
}

impl Backend for Posting {
    tools! {
        "TwitterAPI",
        authenticate_twitter(username, password),
        posting_get_login_status(),
        post_tweet(content, tags = Default::EmptyList, mentions = Default::EmptyList),
        retweet(tweet_id),
        comment(tweet_id, comment_content),
        mention(tweet_id, mentioned_usernames),
        follow_user(username_to_follow),
        list_all_following(),
        unfollow_user(username_to_unfollow),
        get_tweet(tweet_id),
        get_user_tweets(username),
        search_tweets(keyword),
        get_tweet_comments(tweet_id),
        get_user_stats(username),
    }

    fn note(&mut self, absent: &[&str]) {
        self.without_mentions = absent.contains(&"mentions");
    }

    fn shared(&self) -> Option<&Vec<Value>> {
        Some(&self.default_mentions)
    }

    fn share(&mut self, list: &[Value]) {
        if self.default_mentions == list {
            return;
        }
        self.default_mentions = list.to_vec();
        for id in self.sharing.clone() {
            if let Ok(tweet) = self.tweet(&id).and_then(|tweet| mapping_mut(tweet, "values")) {
                tweet.set("mentions", Value::List(list.to_vec()));
            }
        }
    }

    fn attributes(&self) -> Vec<(&'static str, Cow<'_, Value>)> {
        vec![
            ("username", Cow::Borrowed(&self.username)),
            ("password", Cow::Borrowed(&self.password)),
            ("authenticated", Cow::Borrowed(&self.authenticated)),
            ("tweets", Cow::Borrowed(&self.tweets)),
            ("comments", Cow::Borrowed(&self.comments)),
            ("retweets", Cow::Borrowed(&self.retweets)),
            ("following_list", Cow::Borrowed(&self.following_list)),
            ("tweet_counter", Cow::Borrowed(&self.tweet_counter)),
        ]
    }
}
