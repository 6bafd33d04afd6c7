package rules_test
import ("testing";"time";"strings";"fmt";"photofinish/rules")
func TestZZ(t *testing.T){
 R:=func(s string,n int)string{return strings.Repeat(s,n)}
 var wide strings.Builder; for i:=0;wide.Len()<1<<20-200;i++{fmt.Fprintf(&wide,"x%d:\n",i%990); if i%990==989 {fmt.Fprintf(&wide,"- \n")}}
 var nest strings.Builder; nest.WriteString("version: 1\nrules:\n"); for nest.Len()<1<<20-30000 {nest.WriteString("- id: a\n"); for i:=0;i<990;i++{fmt.Fprintf(&nest,"  thre%d: 1\n",i)}}
 var pz strings.Builder; pz.WriteString("version: 1\nrules:\n"); for pz.Len()<1<<20-30000 {pz.WriteString("- id: a\n  kind: leaderboard\n  prizes:\n"); for i:=0;i<1000;i++{fmt.Fprintf(&pz,"  - places: %d\n",i+1)}}
 for i,s:=range []string{R("[",1<<20),R("- ",1<<19),R("{a: ",1<<18),R("? ",1<<19),R("?\n",1<<19),R("a: ",1<<18),R("a: 1\n",200000),R("x",1<<20),R("- a\n",1<<18),"'"+R("x",1<<20-1),R("\"a\" ",1<<18),R("#\n",1<<19),"["+R("a,",1<<19-1)+"]",R("&a ",1<<18),R("!a ",1<<18),R("*a ",1<<18),"a: |\n"+R("  x\n",1<<18-2),"a: >\n"+R("  x\n\n",200000),R("---\n",1<<18),R("\n",1<<20),R(" ",1<<20),"a:\n"+R("  x\n",1<<18-1),wide.String(),nest.String(),pz.String(),
 "version: 1\nrules: ["+R("{id: a, kind: sale, when: {a: b}},",20000)+"]","{"+R("a: 1,",200000)+"}", R("{},",300000), R("- [],\n",100000), R("]",1<<20), R("a:\n- ",100000),R("? a\n",1<<18),R(": a\n",1<<18),R("? - ",1<<18),R("a:\n ",1<<18),R("- a: b\n",140000),"["+R("? a ,",200000)+"]","["+R("? a :",200000)+"]","["+R("a: b\n,",100000)+"]", R("| ",1<<19), R("|\n",1<<19),R("a: |\n",200000),R("\"",1<<20),R("'\n",1<<19),R("%",1<<20),R("%a\n",1<<18),R("--- a\n",170000),R("\\",1<<20),R("\"\\x",200000),R("a: b: ",150000),R("<<: ",200000),R("- - a\n",170000),R("- - - - a\n  - b\n",60000)}{
  if len(s)>1<<20 {s=s[:1<<20]}
  t0:=time.Now(); _,err:=rules.ParseRuleset("",[]byte(s)); d:=time.Since(t0)
  if d>300*time.Millisecond { e:=""; np:=0; if err!=nil{e=strings.SplitN(err.Error(),"\n",2)[0]; np=len(err.(*rules.RulesetError).Problems)}
  fmt.Printf("%d %q %v %d %.90s\n",i,s[:12],d,np,e)}
 }
}
