//! scratch: pretraining pilot
use hone_engine::*; use hone_model::*; use hone_primer::*; use hone_train::*; use hone_trace::Stream;
use hone_train::stages::*;
use std::sync::Arc; use std::ops::ControlFlow; use std::time::Instant;
fn example(codec:&Codec, messages:&[Message])->Example{ let mut ids=Vec::new(); let mut targets=Vec::new();
  for m in messages { match m { Message::Agent(t)=>{ ids.extend_from_slice(codec.generation_prompt()); let o=codec.render_agent(t); let s=ids.len(); ids.extend(o); targets.extend(s as u32..ids.len() as u32);} m=>ids.extend(codec.render(std::slice::from_ref(m))) } }
  Example{ids,targets} }
fn probe(learner:&mut Learner, codec:&Codec, kind:Probe,n:usize)->f64{
  // exact match of the last target under greedy teacher-forced argmax approx: all tokens logp > ln .5
  let docs=probes(kind,n,7); let ex:Vec<Example>=docs.iter().map(|d|{ let all=example(codec,&d.messages); let head=example(codec,&d.messages[..d.messages.len()-1]); let start=head.ids.len() as u32; Example{targets:all.targets.iter().copied().filter(|t|*t>=start).collect(),ids:all.ids} }).collect();
  let rows:Vec<Row>=ex.iter().map(|e|Row{ids:&e.ids,targets:&e.targets}).collect();
  let s=learner.score(&rows,1.0); s.iter().filter(|r|r.logp.iter().all(|l|*l>-0.69)).count() as f64/n as f64 }
fn main(){
  let arg=|i:usize,d:f64|std::env::args().nth(i).map_or(d,|a|a.parse().unwrap());
  let (lr,secs,layers,ind,d,ffn)=(arg(1,3e-3),arg(2,120.0),arg(3,6.0) as usize,arg(4,1.0),arg(5,128.0) as usize,arg(6,352.0) as usize);
  let t=Instant::now(); let codec=Arc::new(train_tokenizer(tokenizer_texts(),1024).unwrap()); eprintln!("tokenizer {:.1}s vocab {}",t.elapsed().as_secs_f64(),codec.vocab_size());
  let c=Config{vocab_size:codec.vocab_size(),hidden_size:d,num_hidden_layers:layers,num_attention_heads:4,num_key_value_heads:2,head_dim:32,intermediate_size:ffn,rope_theta:1e6,rms_norm_eps:1e-6,max_position_embeddings:512};
  let w=if ind>0.0{induction(c,&Stream::new(0))}else{Weights::random(c,&Stream::new(0))}.unwrap();
  eprintln!("params {}",w.params().len());
  let mut l=Learner::new(w,2); let p=Primer::new(0); let mut i=0; let mut tok=0; let t=Instant::now();
  let s=Supervised{steps:1_000_000,batch_tokens:2048,lr:Schedule{peak:lr,shape:Shape::Constant,warmup:30,floor:0.0},adamw:AdamW{weight_decay:0.05,..AdamW::default()}};
  let mut acc=0.0; let mut last=0.0; let mut gen_s=0.0;
  supervised(&mut l,&s,0,||{let t=Instant::now(); let d=p.document(i); i+=1; let e=example(&codec,&d.messages); gen_s+=t.elapsed().as_secs_f64(); e},|_,r|{tok+=r.tokens; acc+=r.loss; let e=t.elapsed().as_secs_f64(); if r.step%50==49{eprintln!("step {} loss {:.3} docs? tok {}k {:.0} tok/s norm {:.2} {:.0}s",r.step+1,acc/50.0,tok/1000,tok as f64/e,r.norm,e); acc=0.0;} last=r.loss; if e>secs{ControlFlow::Break(())}else{ControlFlow::Continue(())}}).unwrap();
  eprintln!("gen {gen_s:.1}s docs {i} last {last}");
  for k in [Probe::Copy,Probe::LookUp,Probe::TwoHop]{ eprintln!("{k:?} {:.3}",probe(&mut l,&codec,k,200)); }
  std::fs::create_dir_all("/tmp/pilot").unwrap(); checkpoint::save(std::path::Path::new("/tmp/pilot"),&l.weights()).unwrap(); codec.save(std::path::Path::new("/tmp/pilot")).unwrap();
}
