#!/usr/bin/env python3
"""Half-way images of LUKS2 reencryption, made with cryptsetup that strace kills at a sync; what is called torn is made of
the bytes before and after one write. Writes images.tar.xz and images.toml beside itself. What no reader needs is blanked:
free bytes of keyslots areas, what protects no zone, and the data of the one image that is refused whatever they are.
A line is long where it makes an image."""
import hashlib,io,json,lzma,os,shutil,struct,subprocess,tarfile,tempfile
HERE=os.path.dirname(os.path.abspath(__file__)); W=tempfile.mkdtemp(); os.makedirs(W+'/img'); os.chdir(W)
def hdr(b, off):
    h=b[off:off+4096]
    magic=h[:6]; ver,=struct.unpack('>H',h[6:8]); hs,seq=struct.unpack('>QQ',h[8:24])
    label=h[24:72].split(b'\0')[0]; alg=h[72:104].split(b'\0')[0].decode(); salt=h[104:168]; uuid=h[168:208].split(b'\0')[0].decode()
    hoff,=struct.unpack('>Q',h[256:264]); csum=h[448:512]
    area=b[off:off+hs]
    z=area[:448]+bytes(64)+area[512:]
    ok=hashlib.new(alg,z).digest()==csum[:hashlib.new(alg).digest_size]
    raw=area[4096:]
    end=raw.find(b'\0')
    js=json.loads(raw[:end]) if ok else None
    return dict(magic=magic,ver=ver,hs=hs,seq=seq,uuid=uuid,ok=ok,json=js,off=hoff,jsonlen=end)
def read_hdr(path):
    with open(path,'rb') as f: b=f.read(8<<20)
    out=[]
    if b[:6]==b'LUKS\xba\xbe':
        p=hdr(b,0); out.append(('primary',p)); s=hdr(b,p['hs']) if b[p['hs']:p['hs']+6]==b'SKUL\xba\xbe' else None
        if s: out.append(('secondary',s))
    return out
def best(path):
    hs=[h for n,h in read_hdr(path) if h['ok']]
    return max(hs,key=lambda h:h['seq'])
def pattern(n): return b''.join(b'%015d\n'%i for i in range(n//16))
P64=pattern(65536); P256=pattern(225280)
open('pattern','wb').write(P64); open('pattern256','wb').write(P256); open('passphrase','wb').write(b'golden')
KDF='--pbkdf pbkdf2 --pbkdf-force-iterations 1000'.split(); K=['--key-file','passphrase']; OFF=['--force-offline-reencrypt']
def cs(*a,kill=None,ok=True,tool='cryptsetup'):
    cmd=[tool,*a]
    if kill: cmd=['strace','-f','-o','/dev/null','-e','trace='+kill[0],'-e','inject=%s:signal=KILL:when=%d'%kill]+cmd
    r=subprocess.run(cmd,capture_output=True,text=True)
    if not kill and ok and r.returncode: raise SystemExit('%s: %s'%(' '.join(cmd),r.stderr))
    return r.returncode
E=[]
def rd(f): return open(f,'rb').read()
def wr(f,b): open(f,'wb').write(b)
def save(name,files,payload,what,how,opens=True,header=None,passphrase='golden',**kw):
    d={}
    for role,f in files.items():
        n=name+('' if role=='img' else '.'+role); shutil.copy(f,'img/'+n); d[role]=n
    E.append(dict(name=name,files=d,payload_bytes=len(payload) if payload else 0,payload_sha256=hashlib.sha256(payload).hexdigest() if payload else '',what=what,how=how,opens=opens,passphrase=passphrase,**kw))
def state(f): 
    j=best(f)['json']; return j
def hotoff(f):
    for k,s in sorted(state(f)['segments'].items()):
        if 'in-reencryption' in s.get('flags',[]): return int(s['offset']),int(s['size']),int(k)
    return None
def regular(f): return [s for k,s in sorted(state(f)['segments'].items(),key=lambda x:int(x[0])) if not any(x.startswith('backup') for x in s.get('flags',[]))]
def find(setup,args,pred,sysc='fsync',img='image',hdr=None,start=1):
    """kill at the k-th call until the header's state is as wanted"""
    for k in range(start,200):
        setup(); rc=cs(*args,kill=(sysc,k))
        if rc==0: raise SystemExit('no such state')
        try:
            if pred(hdr or img): return k
        except Exception: continue
# ---- A: E1, encryption of a plain image with a data shift -----------------------------------------------------------------
SH=102400; A_args=['reencrypt','--batch-mode','--encrypt','image',*K,*KDF,'--cipher','aes-cbc-essiv:sha256','--key-size','128','--reduce-device-size',str(2*SH)]
def a_new(): wr('image',P256+bytes(2*SH))
a_new(); cs(*A_args,'--init-only'); shutil.copy('image','a.init')
save('encrypt-shift-init',{'img':'image'},P256,'encryption with data shift, begun: the first 102400 bytes lie at the end, the header in their place',' '.join(['cryptsetup']+A_args+['--init-only']))
R_args=['reencrypt','--batch-mode','--resume-only','image',*K,*OFF]
def a_set(): shutil.copy('a.init','image')
k=find(a_set,R_args,lambda f: hotoff(f) is not None,'fsync'); shutil.copy('image','a.hot1')
save('encrypt-shift-hot-primary',{'img':'image'},P256,'first hot zone; only the primary header tells of it, nothing of the zone is written',f'resumed, killed at fsync {k}')
a_set(); cs(*R_args,kill=('fdatasync',1)); shutil.copy('image','a.w1')
save('encrypt-shift-hot-written',{'img':'image'},P256,'first hot zone written whole, still called hot','resumed, killed at fdatasync 1')
b=bytearray(rd('a.w1')); o,n,_=hotoff('a.w1'); old=rd('a.init')
for i in range(o,o+n,512):
    if (i//512)%2: b[i:i+512]=old[i:i+512]
wr('image',b); save('encrypt-shift-hot-torn',{'img':'image'},P256,'first hot zone, every other sector of 512 bytes not written','made of the images before and after the write')
b=bytearray(rd('a.w1')); b[o:o+n]=b'\xa5'*n; wr('image',b)
save('encrypt-shift-hot-garbage',{'img':'image'},P256,'first hot zone full of garbage: it is made again from what lies a shift before it','the zone overwritten')
a_set(); cs(*R_args,kill=('fdatasync',3)); shutil.copy('image','a.w3'); 
save('encrypt-shift-hot-moved',{'img':'image'},P256,'last hot zone: the moved segment on its way back','resumed, killed at fdatasync 3')
a_set(); k=find(a_set,R_args,lambda f: len(regular(f))>2 and hotoff(f) is None and regular(f)[1]['type']=='linear' and len(regular(f))==3); save('encrypt-shift-clean',{'img':'image'},P256,'after the first zone; what is left is no multiple of the shift',f'resumed, killed at fsync {k}')
a_set(); k=find(a_set,R_args,lambda f: len(regular(f))==1 and regular(f)[0]['type']=='crypt' and hotoff(f) is None and state(f)['config'].get('requirements')); k2=k+1
save('encrypt-shift-finished',{'img':'image'},P256,'all data done, requirement and keyslot still there; the moved plaintext still lies at the end',f'resumed, killed at fsync {k}')
# ---- A final: base of decryption with a head --------------------------------------------------------------------------------
a_set(); cs(*R_args); wr('a.done',rd('image')[:SH+len(P256)])
D=['reencrypt','--batch-mode','--decrypt','image','--header','hdr',*K,*OFF]
def d_set():
    shutil.copy('a.done','image')
    if os.path.exists('hdr'): os.unlink('hdr')
for res,hz in(('checksum','16384'),('journal','4096')):
    dargs=D+['--resilience',res,'--hotzone-size',hz]
    d_set(); cs(*dargs,'--init-only'); shutil.copy('image','d.init.'+res); shutil.copy('hdr','d.inith.'+res)
    save(f'decrypt-shift-{res}-init',{'img':'image','hdr':'hdr'},P256,'decryption of an image with its header, begun: the first segment moved to byte 0, the header in a file of its own (requirement v3)',' '.join(['cryptsetup']+dargs+['--init-only']),tail_bytes=SH)
    def di():
        shutil.copy('d.init.'+res,'image'); shutil.copy('d.inith.'+res,'hdr')
    dr=['reencrypt','--batch-mode','--resume-only','image','--header','hdr',*K,*OFF]
    if res=='checksum':
        di(); cs(*dr,kill=('fdatasync',2)); w=rd('image'); shutil.copy('hdr','d.h2'); o,n,_=hotoff('hdr')
        b=bytearray(w)
        di(); cs(*dr,kill=('fdatasync',1)); prev=rd('image')
        for i in range(o,o+n,512):
            if (i//512)%2: b[i:i+512]=prev[i:i+512]
        wr('image',b); shutil.copy('d.h2','hdr'); save('decrypt-shift-hot-torn',{'img':'image','hdr':'hdr'},P256,'second hot zone, every other sector not written','resumed, killed at fdatasync 2, torn by hand',tail_bytes=SH)
        di(); k=find(di,dr,lambda f: hotoff(f) is None and len(regular(f))==2 and regular(f)[0]['type']=='crypt' and regular(f)[1]['type']=='linear' ,hdr='hdr'); save('decrypt-shift-moved-left',{'img':'image','hdr':'hdr'},P256,'only the moved segment is left: cryptsetup cannot go on from here (2.6.1 and 2.9-git)',f'resumed, killed at fsync {k}',tail_bytes=SH)
    di(); 
    k=find(di,dr,lambda f: hotoff(f) is not None and hotoff(f)[0]==0,hdr='hdr'); before=rd('image'); hb=rd('hdr'); save(f'decrypt-shift-{res}-moved-hot',{'img':'image','hdr':'hdr'},P256,f'the moved segment is the hot zone, protected by {res}; nothing of it is written',f'resumed, killed at fsync {k}',tail_bytes=SH)
    n=1
    while True:
        di(); rc=cs(*dr,kill=('fdatasync',n))
        if hotoff('hdr') and hotoff('hdr')[0]==0: break
        n+=1
    b=bytearray(rd('image')); o,ln,_=hotoff('hdr'); step=4096 if res=='checksum' else 512
    di_img=rd('d.init.'+res)
    for i in range(o,o+ln,step):
        if (i//step)%2: b[i:i+step]=di_img[i:i+step]
    wr('image',b); save(f'decrypt-shift-{res}-moved-torn',{'img':'image','hdr':'hdr'},P256,f'the same, every other unit of {step} bytes written',f'resumed, killed at fdatasync {n}, torn by hand',tail_bytes=SH)
    if res=='checksum':
        di(); k=find(di,dr,lambda f: hotoff(f) is None and len(regular(f))==1 and state(f)['config'].get('requirements'),hdr='hdr'); save('decrypt-shift-finished',{'img':'image','hdr':'hdr'},P256,'all data done, requirement still there; cryptsetup would decrypt once more',f'resumed, killed at fsync {k}',tail_bytes=SH)
d_set(); cs(*(D+['--resilience','checksum','--hotzone-size','16384']),kill=('fsync',3)); save('decrypt-shift-before',{'img':'image','hdr':'hdr'},P256,'header exported, the signatures in the image wiped, nothing begun: the header file opens the image','killed at fsync 3')
# ---- B: detached header -----------------------------------------------------------------------------------------------------
B_args=['reencrypt','--batch-mode','--encrypt','image','--header','hdr',*K,*KDF,'--key-size','256','--luks2-keyslots-size','192k']
def b_new():
    wr('image',P64)
    if os.path.exists('hdr'): os.unlink('hdr')
b_new(); cs(*B_args,'--init-only'); shutil.copy('hdr','b.init'); shutil.copy('image','b.img')
def b_set(): shutil.copy('b.init','hdr'); shutil.copy('b.img','image')
br=['reencrypt','--batch-mode','--resume-only','image','--header','hdr',*K,*OFF,'--hotzone-size','16384']
b_set(); cs(*br,kill=('fdatasync',2)); o,n,_=hotoff('hdr'); b=bytearray(rd('image'))
for i in range(o,o+n,4096):
    if (i//4096)%2: b[i:i+4096]=P64[i:i+4096]
wr('image',b); save('encrypt-detached-checksum-torn',{'img':'image','hdr':'hdr'},P64,'detached header, checksum: second hot zone, every other block written','resumed, killed at fdatasync 2, torn by hand')
b_set(); cs(*br,'--resilience','journal',kill=('fdatasync',2)); b=bytearray(rd('image'))
for i in range(o,o+n,97): b[i:i+31]=P64[i:i+31]
wr('image',b); save('encrypt-detached-journal-torn',{'img':'image','hdr':'hdr'},P64,'detached header, journal (plaintext in the header file): second hot zone torn at any byte','resumed with --resilience journal, killed at fdatasync 2, torn by hand')
b_set(); cs(*br); shutil.copy('hdr','b.done'); shutil.copy('image','b.doneimg')
b_set(); k=find(b_set,br,lambda f: hotoff(f) is None and len(regular(f))==1 and regular(f)[0]['type']=='crypt' and state(f)['config'].get('requirements'),hdr='hdr'); save('encrypt-detached-finished',{'img':'image','hdr':'hdr'},P64,'all data done, requirement still there; cryptsetup would encrypt once more',f'resumed, killed at fsync {k}')
# decryption of the detached one (backward)
def c_set(): shutil.copy('b.done','hdr'); shutil.copy('b.doneimg','image')
c_set(); cargs=['reencrypt','--batch-mode','--decrypt','image','--header','hdr',*K,*OFF,'--hotzone-size','16384']
cs(*cargs,kill=('fdatasync',2)); o,n,_=hotoff('hdr'); b=bytearray(rd('image')); old=rd('b.doneimg')
for i in range(o,o+n,4096):
    if (i//4096)%2: b[i:i+4096]=old[i:i+4096]
wr('image',b); save('decrypt-detached-torn',{'img':'image','hdr':'hdr'},P64,'detached header, backward, checksum: second hot zone, every other block written','killed at fdatasync 2, torn by hand')
c_set(); cs(*cargs,kill=('fdatasync',4)); assert hotoff('hdr')[0]==0; save('decrypt-detached-last-hot',{'img':'image','hdr':'hdr'},P64,'last hot zone (at byte 0): cryptsetup repair and --resume-only destroy all data','killed at fdatasync 4')
# ---- E3: datashift that shifts nothing --------------------------------------------------------------------------------------
P3=pattern(65536*4); wr('image',P3)
if os.path.exists('hdr'): os.unlink('hdr')
e3=['reencrypt','--batch-mode','--encrypt','image','--header','hdr',*K,*KDF,'--key-size','128','--cipher','aes-cbc-plain64','--reduce-device-size','131072','--luks2-keyslots-size','96k']
cs(*e3,kill=('fdatasync',2)); assert hotoff('hdr'); save('encrypt-detached-reduce-hot',{'img':'image','hdr':'hdr'},P3,'datashift with a detached header: nothing is shifted, the zone is written in place without protection. Here it happens to be written whole; nothing tells. cryptsetup repair fills it with the bytes a shift before it','killed at fdatasync 2',opens=False)
# ---- C: key change ----------------------------------------------------------------------------------------------------------
OFFS=360448
a=['reencrypt','--batch-mode','--encrypt','image',*K,*KDF,'--cipher','aes-cbc-essiv:sha256','--key-size','128','--reduce-device-size',str(2*OFFS)]
P67=pattern(67072); wr('image',P67+bytes(2*OFFS)); cs(*a); wr('o.base',rd('image')[:OFFS+len(P67)]); wr('c.base',rd('image')[:OFFS+65536])
shutil.copy('c.base','image'); rk=['reencrypt','--batch-mode','image',*K,*KDF,*OFF,'--hotzone-size','16384']
cs(*rk,'--init-only'); shutil.copy('image','c.init'); old=rd('c.init')
save('reencrypt-init',{'img':'image'},P64,'new volume key, begun','cryptsetup '+' '.join(rk+['--init-only']))
def r_set(): shutil.copy('c.init','image')
rr=['reencrypt','--batch-mode','--resume-only','image',*K,*OFF,'--hotzone-size','16384']
k=find(r_set,rr,lambda f: hotoff(f) and hotoff(f)[0]==OFFS+16384 and read_hdr(f)[0][1]['seq']!=read_hdr(f)[1][1]['seq']); save('reencrypt-checksum-hot-primary',{'img':'image'},P64,'second hot zone; only the primary header tells of it',f'resumed, killed at fsync {k}')
r_set(); cs(*rr,kill=('fsync',k+1)); save('reencrypt-checksum-hot-nothing',{'img':'image'},P64,'second hot zone, nothing of it written',f'resumed, killed at fsync {k+1}')
r_set(); cs(*rr,kill=('fdatasync',2)); shutil.copy('image','c.w2'); o,n,_=hotoff('image'); save('reencrypt-checksum-hot-written',{'img':'image'},P64,'second hot zone written whole, still called hot','resumed, killed at fdatasync 2')
b=bytearray(rd('c.w2'))
for i in range(o,o+n,4096):
    if (i//4096)%2: b[i:i+4096]=old[i:i+4096]
wr('image',b); save('reencrypt-checksum-hot-torn',{'img':'image'},P64,'second hot zone, every other block written','the same, torn by hand')
x=bytearray(b); x[:6]=b'\0'*6; wr('image',x); save('reencrypt-checksum-hot-torn-secondary',{'img':'image'},P64,'the same, and the primary header has lost its magic','the same, its first 6 bytes zeroed')
k=find(r_set,rr,lambda f: hotoff(f) is None and len(regular(f))==2 and int(regular(f)[0]['size'])==32768); save('reencrypt-checksum-clean',{'img':'image'},P64,'after two of four zones',f'resumed, killed at fsync {k}')
r_set(); cs(*rr,kill=('fdatasync',4)); save('reencrypt-checksum-last-hot',{'img':'image'},P64,'last hot zone written, still called hot','resumed, killed at fdatasync 4')
for k in range(1,99):
    r_set(); rc=cs(*rr,kill=('fsync',k)); j=state('image')
    if hotoff('image') is None and len(regular('image'))==1 and '0' not in j['digests']['0']['segments'] and j['config'].get('requirements'): break
save('reencrypt-finished',{'img':'image'},P64,'all data done, requirement and both keys\' keyslots still there: cryptsetup --resume-only encrypts all data once more and they are lost',f'resumed, killed at fsync {k}')
for k in range(k,99):
    r_set(); rc=cs(*rr,kill=('fsync',k)); j=state('image')
    if not j['digests'].get('0',{}).get('keyslots',['x']) : break
save('reencrypt-finished-old-key-gone',{'img':'image'},P64,'the same after the old keyslot was wiped: cryptsetup can neither open, repair nor resume it',f'resumed, killed at fsync {k}')
r_set(); cs(*rr,'--resilience','journal',kill=('fdatasync',2)); b=bytearray(rd('image'))
for i in range(o,o+n,97): b[i:i+31]=old[i:i+31]
wr('image',b); save('reencrypt-journal-hot-torn',{'img':'image'},P64,'journal: second hot zone torn at any byte','resumed with --resilience journal, killed at fdatasync 2, torn by hand')
r_set(); cs(*rr,'--resilience','checksum','--resilience-hash','sha512',kill=('fdatasync',2)); b=bytearray(rd('image'))
for i in range(o,o+n,4096):
    if (i//4096)%2: b[i:i+4096]=old[i:i+4096]
wr('image',b); save('reencrypt-sha512-hot-torn',{'img':'image'},P64,'checksums of sha512','resumed with --resilience-hash sha512, killed at fdatasync 2, torn by hand')
# each key has a passphrase of its own: the other keyslots are killed half way, which cryptsetup lets through
wr('second',b'second'); shutil.copy('c.base','image'); cs('luksAddKey','--batch-mode','image','second',*K,*KDF)
subprocess.run(['cryptsetup',*[x for x in rk if x not in K],'--init-only'],input='golden\nsecond\n',text=True,check=True,capture_output=True); cs(*rr,kill=('fdatasync',2))
for slot in '12': cs('luksKillSlot','--batch-mode','image',slot)
save('reencrypt-two-passphrases',{'img':'image'},P64,'second hot zone; the old key is opened by golden only, the new one by second only','cryptsetup '+' '.join(x for x in rk if x not in K)+' --init-only with two keyslots, resumed, killed at fdatasync 2, two keyslots killed',other='second')
# keep the key, sectors of 4096
shutil.copy('c.base','image'); cs('reencrypt','--batch-mode','image',*K,*OFF,'--keep-key','--sector-size','4096','--hotzone-size','16384',kill=('fdatasync',2)); b=bytearray(rd('image')); o2,n2,_=hotoff('image')
for i in range(o2,o2+n2,4096):
    if (i//4096)%2: b[i:i+4096]=old[i:i+4096]
wr('image',b); save('reencrypt-keep-key-sector-4096-torn',{'img':'image'},P64,'the key stays, sectors of 512 bytes become 4096: one digest for both states','cryptsetup reencrypt --keep-key --sector-size 4096 --hotzone-size 16384, killed at fdatasync 2, torn by hand')
# a payload that ends within a block of 4096
shutil.copy('o.base','image'); cs(*rk,'--init-only'); shutil.copy('image','o.init')
for k in range(1,60):
    shutil.copy('o.init','image'); cs(*rr,kill=('fsync',k)); h=hotoff('image')
    if h and h[0]==OFFS+65536: break
save('reencrypt-odd-tail-hot',{'img':'image'},P67,'a file whose payload ends 1536 bytes into a block of 4096; that last zone is hot and not written. Its checksum is that of the 1536 bytes and of what the zone before left in the buffer: the 2560 bytes of that zone, new, from byte 1536 on. cryptsetup repair refuses it for ever',f'resumed, killed at fsync {k}')
# ---- forged ------------------------------------------------------------------------------------------------------------------
def put_json(f,j):
    b=bytearray(rd(f)); hs=16384; t=json.dumps(j,separators=(',',':')).encode(); assert len(t)<hs-4096
    for at in(0,hs):
        b[at+4096:at+hs]=t+bytes(hs-4096-len(t)); b[at+448:at+512]=bytes(64); b[at+448:at+480]=hashlib.sha256(bytes(b[at:at+hs])).digest()
    wr(f,b)
def forge(name,src,change,what,**kw):
    shutil.copy(src,'image'); j=state('image'); change(j); put_json('image',j); save(name,{'img':'image'},None,what,'the JSON of another image changed, checksums made anew',opens=False,forged=True,**kw)
def f_old(j):
    d=[k for k,v in j['digests'].items() if '2' in v['keyslots']][0]; del j['digests'][d]; j['config']['requirements']['mandatory']=['online-reencrypt']
forge('forged-old-flag','c.init',f_old,'requirement of cryptsetup before 2.4 and no digest: nothing proves it; cryptsetup repair asks, then makes the digest')
def f_nodig(j):
    d=[k for k,v in j['digests'].items() if '2' in v['keyslots']][0]; del j['digests'][d]
forge('forged-no-digest','c.init',f_nodig,'v2 and no digest')
forge('forged-mode-decrypt','c.init',lambda j: j['keyslots']['2'].update(mode='decrypt'),'mode changed')
forge('forged-direction','c.init',lambda j: j['keyslots']['2'].update(direction='backward'),'direction changed')
forge('forged-v3','c.init',lambda j: j['config']['requirements'].update(mandatory=['online-reencrypt-v3']),'v2 called v3: the digest no longer fits')
forge('forged-iterations','c.init',lambda j: j['digests']['2'].update(iterations=1111),'the digest\'s iterations changed')
def f_cve(j):
    # a clean container of whose owner an attacker wants the next open to decrypt it (CVE-2021-4122)
    s=j['segments']['0']; j['segments']={'0':{'type':'linear','offset':s['offset'],'size':'65024','flags':['in-reencryption']},'1':dict(s,offset=str(int(s['offset'])+65024),iv_tweak='127'),'2':dict(s,flags=['backup-previous']),'3':{'type':'linear','offset':s['offset'],'size':'dynamic','flags':['backup-final']}}
    j['digests']['0']['segments']=['1','2']; a=j['keyslots']['0']['area']; at=int(a['offset'])+int(a['size'])
    j['keyslots']['1']={'type':'reencrypt','key_size':1,'mode':'decrypt','direction':'forward','priority':0,'area':{'type':'checksum','offset':str(at),'size':'4096','hash':'sha256','sector_size':512}}
    j['digests']['1']=dict(j['digests']['0'],keyslots=['1'],segments=[]); j['config']['requirements']={'mandatory':['online-reencrypt-v2']}
shutil.copy('c.base','c.cve'); b=bytearray(rd('c.cve'))
j=state('c.cve'); a_=j['keyslots']['0']['area']; at=int(a_['offset'])+int(a_['size'])
for i in range(127): b[at+32*i:at+32*i+32]=hashlib.sha256(bytes(b[OFFS+512*i:OFFS+512*i+512])).digest()
wr('c.cve',b)
forge('forged-decryption','c.cve',f_cve,'CVE-2021-4122: a clean container made to look like a crashed decryption, with checksums that fit; its digest is that of the volume key')
def f_cve1(j): f_cve(j); del j['digests']['1']; j['config']['requirements']={'mandatory':['online-reencrypt']}
forge('forged-decryption-old','c.cve',f_cve1,'the same with the old requirement and no digest')
def f_prog(j):
    s=j['segments']; seg0=dict(s['0'],size='16384'); seg1=dict(s['0'],offset=str(OFFS+16384),iv_tweak='32'); s1,s2=s['1'],s['2']; j['segments']={'0':seg0,'1':seg1,'2':s1,'3':s2}; j['digests']['0']['segments']=['1','2']; j['digests']['1']['segments']=['0','3']
shutil.copy('c.init','image'); j=state('image'); f_prog(j); put_json('image',j); save('forged-progress',{'img':'image'},None,'progress moved by a zone that was not done: the digest does not cover it, cryptsetup takes it, and the zone reads as noise','the JSON changed',opens='noise',forged='accepted')
# ---- what no reader needs ----------------------------------------------------------------------------------------------------
def blanked(f):
    b=bytearray(rd('img/'+f)); h=[x for _,x in read_hdr('img/'+f) if x['ok']]
    if not h and b[16384:16390]==b'SKUL\xba\xbe': h=[x for x in [hdr(bytes(b),16384)] if x['ok']]
    if not h: return bytes(len(b)) if f=='encrypt-detached-reduce-hot' else bytes(b)
    h=max(h,key=lambda x:x['seq']); j=h['json']; at=2*h['hs']; end=min(at+int(j['config']['keyslots_size']),len(b)); used=[]
    for k in j['keyslots'].values():
        o=int(k['area']['offset']); used.append((o,o+(k['key_size']*4000 if k['type']=='luks2' else min(int(k['area']['size']),16384 if 'journal' in k['area']['type'] else 1024))))
    for o,e in sorted(used)+[(end,end)]: b[at:max(at,o)]=bytes(max(0,o-at)); at=max(at,e)
    return bytes(b)
# ---- one solid archive: the images of a family share keyslots and ciphertext ------------------------------------------------
F={f:blanked(f) for e in E for f in e['files'].values()}; tar=io.BytesIO()
with tarfile.open(fileobj=tar,mode='w',format=tarfile.USTAR_FORMAT) as t:
    for f,b in F.items():
        i=tarfile.TarInfo(f); i.size=len(b); i.mode=0o644; t.addfile(i,io.BytesIO(b))
packed=lzma.compress(tar.getvalue(),filters=[{'id':lzma.FILTER_LZMA2,'preset':9|lzma.PRESET_EXTREME,'dict_size':64<<20}])
open(HERE+'/images.tar.xz','wb').write(packed)
q=lambda s: '"'+str(s).replace('\\','\\\\').replace('"','\\"')+'"'
L=['# The images of images.tar.xz. payload: the plaintext that must come out, before any write and after the reencryption is finished.','# expect: read = it can be read; refuse = it cannot, and not a byte is changed; noise = nothing tells that it is forged.','']
for e in E:
    n=e['name']; x='noise' if n=='forged-progress' else 'refuse' if n.startswith('forged') or not e['payload_bytes'] or not e['opens'] or 'other' in e else 'read'
    L+=['[[image]]','path = '+q(n)]+(['header = '+q(e['files']['hdr'])] if 'hdr' in e['files'] else [])
    L+=['shows = '+q(e['what']),'make = '+q(e['how']),'passphrase = "golden"','expect = '+q(x)]+(['other_passphrase = '+q(e['other'])] if 'other' in e else [])
    if e['payload_bytes']: L+=['payload_bytes = %d'%e['payload_bytes'],'payload_sha256 = '+q(e['payload_sha256'])]
    L.append('')
open(HERE+'/images.toml','w').write('\n'.join(L))
print(len(E),'images',len(packed),'bytes'); shutil.rmtree(W)
