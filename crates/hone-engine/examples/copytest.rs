use hone_engine::*; use hone_trace::Stream;
fn main(){
  let arg=|i:usize,d:f64|std::env::args().nth(i).map_or(d,|a|a.parse().unwrap());
  let ind=arg(1,1.0); let lr=arg(2,3e-3); let steps=arg(3,80.0) as u32; 
  let v=800; let c=Config{vocab_size:v,hidden_size:128,num_hidden_layers:6,num_attention_heads:4,num_key_value_heads:2,head_dim:32,intermediate_size:352,rope_theta:1e6,rms_norm_eps:1e-6,max_position_embeddings:512};
  let w=if ind>0.0{induction(c,&Stream::new(0))}else{Weights::random(c,&Stream::new(0))}.unwrap();
  let mut l=Learner::new(w,2); let s=Stream::new(5); let mut n=0u64; let mut tok=0;
  let a=AdamW{weight_decay:0.05,..AdamW::default()};
  for step in 0..steps{ let data:Vec<Vec<u32>>=(0..16).map(|_|{ let x:Vec<u32>=(0..50).map(|_|{n+=1;(s.uniform(n)*v as f64) as u32}).collect(); [x.clone(),x].concat()}).collect();
    let t:Vec<u32>=(51..100).collect(); let rows:Vec<Row>=data.iter().map(|d|Row{ids:d,targets:&t}).collect(); let wt=vec![1.0/(16.0*49.0);16];
    let p=l.pass(&rows,1.0,&CrossEntropy{weights:&wt}); tok+=p.tokens; if step%10==0{println!("step {step} tok {tok} loss {:.3}",p.loss);} l.step((lr*((step+1) as f64/30.0).min(1.0)) as f32,&a).unwrap(); }
}
