use hone_engine::*;
use hone_trace::Stream;
use hone_engine::decode::*;
fn main(){
  for (name,c,batch,len) in [
    ("nano6", Config{vocab_size:1024,hidden_size:128,num_hidden_layers:6,num_attention_heads:4,num_key_value_heads:2,head_dim:32,intermediate_size:352,rope_theta:1e6,rms_norm_eps:1e-6,max_position_embeddings:512},16,128),
    ("bakeoff", Config{vocab_size:512,hidden_size:256,num_hidden_layers:6,num_attention_heads:4,num_key_value_heads:2,head_dim:64,intermediate_size:704,rope_theta:1e4,rms_norm_eps:1e-6,max_position_embeddings:512},16,256)] {
    let w=Weights::random(c.clone(),&Stream::new(1)).unwrap(); println!("{name} params {}",w.params().len());
    let ids:Vec<Vec<u32>>=(0..batch).map(|i|(0..len).map(|j|((i*31+j*7)%500) as u32).collect()).collect();
    let t:Vec<u32>=(1..len as u32).collect();
    let rows:Vec<Row>=ids.iter().map(|x|Row{ids:x,targets:&t}).collect();
    let wt=vec![1.0/(batch*len) as f32;batch];
    let mut l=Learner::new(w.clone(),2);
    for _ in 0..6{ let s=std::time::Instant::now(); l.pass(&rows,1.0,&CrossEntropy{weights:&wt}); let a=s.elapsed().as_secs_f64(); l.step(1e-3,&AdamW::default()).unwrap(); let b=s.elapsed().as_secs_f64(); println!("  pass {a:.4} step {b:.4} tok/s {:.0}",(batch*len) as f64/b); }
    for b in [1usize,8,32,64]{ let mut caches:Vec<Cache>=(0..b).map(|_|Cache::default()).collect(); let mut s=Scratch::default(); let n=150; let tm=std::time::Instant::now();
      for j in 0..n{ let tok=[(j*13%500) as u32]; let mut f:Vec<Feed>=caches.iter_mut().map(|cache|Feed{cache,ids:&tok,want:true}).collect(); feed(&w,&mut f,&mut s);} 
      println!("  decode b{b}: {:.0} tok/s (1 thread)",(b*n) as f64/tm.elapsed().as_secs_f64()); }
  }
}
