"""Writes src/grib/grid/vectors.json: made grids with points from ecCodes, PROJ or exact fractions.

python make_grid_vectors.py src/grib/grid/vectors.json   (needs PyPI eccodes, numpy, pyproj)
"""
import json, sys
import numpy as np, eccodes as ec, pyproj
def sect(m):
    ed=m[7]
    if ed==1:
        p=8; r={}
        n=int.from_bytes(m[p:p+3],'big'); s1=m[p:p+n]; p+=n
        g=b''
        if s1[7]&0x80: n=int.from_bytes(m[p:p+3],'big'); g=m[p:p+n]; p+=n
        return ed,s1,g
    p=16; 
    while True:
        n=int.from_bytes(m[p:p+4],'big'); s=m[p+4]
        if s==3: return ed,b'',m[p:p+n]
        p+=n
rng=np.random.default_rng(1)
vec=[]; skipped=[]
def make(template, keys, n, edition=2, sample=None, pl=None):
    h=ec.codes_grib_new_from_samples(sample or ('GRIB2' if edition==2 else 'GRIB1'))
    if template is not None:
        ec.codes_set(h,'gridDefinitionTemplateNumber' if edition==2 else 'dataRepresentationType',template)
    for k,v in keys: 
        try: ec.codes_set(h,k,v)
        except Exception as e: print('  set',k,v,e)
    if pl is not None: ec.codes_set_array(h,'pl',pl)
    if edition==2: ec.codes_set(h,'numberOfDataPoints',n)
    ec.codes_set_values(h,np.zeros(n))
    return h
def add(name,h,latlon=None,note=None):
    h=ec.codes_new_from_message(ec.codes_get_message(h))
    m=ec.codes_get_message(h); ed,s1,g=sect(m)
    try:
        if latlon is None:
            la=ec.codes_get_array(h,'latitudes'); lo=ec.codes_get_array(h,'longitudes'); source='ecCodes'
        else: la,lo=latlon; source='PROJ'
    except Exception as e:
        print('FAILED',name,e); return
    n=len(la)
    pick=sorted({0,n-1,n//2}|{int(i) for i in rng.integers(0,n,7)})
    vec.append({'name':name,'edition':ed,'gridType':ec.codes_get(h,'gridType'),'section':g.hex(),'source':source,
      'points':n,'at':pick,'latitude':[round(float(la[i]),9) for i in pick],'longitude':[round(float(lo[i])%360,9) for i in pick]})
def ll(name,ni,nj,la1,lo1,la2,lo2,di,dj,scan,template=0,extra=(),edition=2):
    add(name,make(template,[('Ni',ni),('Nj',nj),('scanningMode',scan),('latitudeOfFirstGridPointInDegrees',la1),('longitudeOfFirstGridPointInDegrees',lo1),('latitudeOfLastGridPointInDegrees',la2),('longitudeOfLastGridPointInDegrees',lo2),('iDirectionIncrementInDegrees',di),('jDirectionIncrementInDegrees',dj)]+list(extra),ni*nj,edition))
ll('global, southwards, from 180 E',36,19,90,180,-90,170,10,10,0)
ll('area across Greenwich, northwards',13,9,30,350,50,20,2.5,2.5,64)
ll('westwards',13,9,30,20,50,350,2.5,2.5,192)
ll('columns consecutive',13,9,50,350,30,20,2.5,2.5,32)
ll('columns consecutive, northwards and westwards',7,5,30,14,50,2,2,5,224)
ll('thirds of a degree, last point put right',10,10,60,0,57,3,1/3,1/3,0)
ll('increments not given',10,7,60,5,57,9.5,.5,.5,0,extra=[('iDirectionIncrementGiven',0),('jDirectionIncrementGiven',0)])
ll('basic angle and subdivisions',8,5,0,0,0,0,1,1,64,extra=[('basicAngleOfTheInitialProductionDomain',3),('subdivisionsOfBasicAngle',9),('latitudeOfFirstGridPoint',0),('latitudeOfLastGridPoint',12),('longitudeOfFirstGridPoint',3),('longitudeOfLastGridPoint',24),('iDirectionIncrement',3),('jDirectionIncrement',3)])
ll('one column',1,5,60,7,56,7,1,1,0)
ll('GRIB 1, southwards, negative longitudes',12,8,50,-20,43,2,2,1,0,edition=1)
ll('GRIB 1, northwards and westwards',12,8,43,2,50,-20,2,1,192,edition=1)
rot=[('latitudeOfSouthernPoleInDegrees',-40),('longitudeOfSouthernPoleInDegrees',10),('angleOfRotation',0.)]
ll('rotated',15,11,-12.5,345,12.5,25,40/14,2.5,64,1,rot)
ll('rotated, turned, southwards and westwards',15,11,12.5,25,-12.5,345,40/14,2.5,128,1,[('latitudeOfSouthernPoleInDegrees',-30.5),('longitudeOfSouthernPoleInDegrees',200),('angleOfRotation',12.5)])
ll('GRIB 1 rotated',15,11,-10,-14,10,14,2,2,64,10,[('latitudeOfSouthernPoleInDegrees',-40),('longitudeOfSouthernPoleInDegrees',10)],1)
def glats(n):
    h=ec.codes_grib_new_from_samples('regular_gg_pl_grib2')
    x,w=np.polynomial.legendre.leggauss(2*n); return np.degrees(np.arcsin(x))[::-1]
def gg(name,N,i0,nj,ni,lo1,lo2,scan,edition=2):
    l=glats(N); rows=l[i0:i0+nj]
    if scan&64: rows=rows[::-1]
    add(name,make(40 if edition==2 else 4,[('Ni',ni),('Nj',nj),('N',N),('scanningMode',scan),('latitudeOfFirstGridPointInDegrees',float(rows[0])),('latitudeOfLastGridPointInDegrees',float(rows[-1])),('longitudeOfFirstGridPointInDegrees',lo1),('longitudeOfLastGridPointInDegrees',lo2),('iDirectionIncrementInDegrees',(360 if edition==2 else 110)/ni if False else (abs(lo2-lo1)/(ni-1) if scan==0 else 90/32.0))],ni*nj,edition))
gg('Gaussian F32',32,0,64,128,0,360-360/128,0)
gg('Gaussian F48, area, northwards',48,10,21,20,350,25.625,64)
gg('Gaussian F640, area',640,300,5,7,10,10.84375,0)
gg('GRIB 1 Gaussian F80, westwards',80,0,160,4,30,20,128,1)
def red(name,N,pl,i0,lo1,lo2,edition=2,template=None,extra=()):
    l=glats(N); nj=len(pl)
    # points between the longitudes
    from fractions import Fraction as F
    e=lo2 if lo2>=lo1 else lo2+360
    cnt=0
    for p in pl:
        import math
        if lo1==0 and abs(lo2-(360-360/max(pl)))<1e-3: cnt+=p; continue
        w=math.ceil(F(round(lo1*1e6),10**6)*p/360); q=math.floor(F(round(e*1e6),10**6)*p/360); cnt+=max(0,q-w+1)
    h=ec.codes_grib_new_from_samples('reduced_gg_pl_32_grib%d'%edition)
    if template is not None: ec.codes_set(h,'gridDefinitionTemplateNumber' if edition==2 else 'dataRepresentationType',template)
    ec.codes_set_missing(h,'Ni')
    for k,v in [('Nj',nj),('N',N)]: ec.codes_set(h,k,v)
    ec.codes_set_array(h,'pl',list(pl))
    for k,v in [('latitudeOfFirstGridPointInDegrees',float(l[i0])),('latitudeOfLastGridPointInDegrees',float(l[i0+nj-1])),('longitudeOfFirstGridPointInDegrees',lo1),('longitudeOfLastGridPointInDegrees',lo2)]+list(extra): ec.codes_set(h,k,v)
    if edition==2: ec.codes_set(h,'numberOfDataPoints',cnt)
    ec.codes_set_values(h,np.zeros(cnt)); add(name,h)
octa=lambda n:[20+4*i for i in range(n)]+[20+4*i for i in range(n)][::-1]
red('octahedral O24',24,octa(24),0,0,360-360/112)
red('octahedral O24, area across Greenwich',24,octa(24)[5:15],5,350,20.5)
red('octahedral O24, area',24,octa(24)[5:15],5,10,50)
classic=[20,27,36,40,45,50,60,64,72,75,80,90,90,96,100,108,108,120,120,120,128,128,128,128,128,128,128,128,128,128,128,128]
red('reduced N32',32,classic+classic[::-1],0,0,357.1875)
red('rotated reduced N32, area',32,classic[10:20],10,5,60,template=41,extra=[('latitudeOfSouthernPoleInDegrees',-40),('longitudeOfSouthernPoleInDegrees',10)])
red('GRIB 1 reduced N32',32,classic+classic[::-1],0,0,357.188,1)
red('GRIB 1 reduced N32, area across Greenwich',32,classic[10:20],10,-10,20.25,1)
def proj(name,template,nx,ny,lat,lon,scan,keys,edition=2,latlon=None):
    h=make(template,[('Nx' if edition==1 and template in(3,5) else 'Ni',nx),('Ny' if edition==1 and template in (3,5) else 'Nj',ny)]+[('scanningMode',scan),('latitudeOfFirstGridPointInDegrees',lat),('longitudeOfFirstGridPointInDegrees',lon)]+keys,nx*ny,edition)
    add(name,h,latlon)
def grid_of(p,first,dx,dy,nx,ny):
    x0,y0=first
    X,Y=np.meshgrid(x0+dx*np.arange(nx),y0+dy*np.arange(ny))
    lo,la=p(X,Y,inverse=True); return la.ravel(),lo.ravel()
def with_proj(s,lat,lon,dx,dy,nx,ny):
    p=pyproj.Proj(s); return grid_of(p,p(lon,lat),dx,dy,nx,ny)
WGS=[('shapeOfTheEarth',5)]; S6=[('shapeOfTheEarth',6)]
S1=[('shapeOfTheEarth',1),('scaleFactorOfRadiusOfSphericalEarth',2),('scaledValueOfRadiusOfSphericalEarth',637120012)]
A7=[('shapeOfTheEarth',7),('scaleFactorOfEarthMajorAxis',1),('scaledValueOfEarthMajorAxis',63781370),('scaleFactorOfEarthMinorAxis',1),('scaledValueOfEarthMinorAxis',63567523)]
A3=[('shapeOfTheEarth',3),('scaleFactorOfEarthMajorAxis',3),('scaledValueOfEarthMajorAxis',6378206),('scaleFactorOfEarthMinorAxis',3),('scaledValueOfEarthMinorAxis',6356584)]
lam=lambda o,v,a,b,d:[('LaDInDegrees',o),('LoVInDegrees',v),('Latin1InDegrees',a),('Latin2InDegrees',b),('Dx',int(d*1000)),('Dy',int(d*1000))]
proj('Lambert, one parallel, sphere of given radius',30,15,12,21.138,237.28,64,S1+lam(38.5,262.5,38.5,38.5,300000))
proj('Lambert, two parallels, sphere',30,15,12,40,350,64,S6+lam(46.5,2,44,49,100000))
proj('Lambert, two parallels, WGS84',30,15,12,40,350,64,WGS+lam(46.5,2,44,49,100000))
proj('Lambert, south, axes in metres',30,15,12,-60,300,64,A7+lam(-40,300,-30,-60,100000))
proj('Lambert, south, sphere, one parallel',30,15,12,-60,300,64,S6+lam(-35,300,-35,-35,100000))
proj('Lambert, axes in kilometres',30,9,9,30,110,64,A3+lam(30,140,30,60,200000))
mer=lambda d,o,la2,lo2,dd:[('LaDInDegrees',d),('orientationOfTheGrid',o),('latitudeOfLastGridPointInDegrees',la2),('longitudeOfLastGridPointInDegrees',lo2),('Di',int(dd*1000)),('Dj',int(dd*1000))]
proj('Mercator, sphere',10,15,12,-10,160,64,S6+mer(20,0,12,190,250000))
proj('Mercator, WGS84',10,15,12,-10,160,64,WGS+mer(20,0,12,190,250000))
pol=lambda d,v,dd,flag=0:[('LaDInDegrees',d),('orientationOfTheGridInDegrees',v),('Dx',int(dd*1000)),('Dy',int(dd*1000)),('projectionCentreFlag',flag)]
proj('polar stereographic, north',20,15,12,20,225,64,S6+pol(60,249,500000))
proj('polar stereographic, plane through the pole',20,15,12,20,225,64,S6+pol(90,249,500000))
proj('polar stereographic, south',20,15,12,-40,225,64,S6+pol(-60,0,500000,128))
proj('polar stereographic, south by its flag alone',20,15,12,-40,225,64,S6+pol(60,0,500000,128),latlon=with_proj('+proj=stere +lat_0=-90 +lat_ts=-60 +lon_0=0 +R=6371229',-40,225,5e5,5e5,15,12))
proj('polar stereographic, WGS84',20,15,12,30,225,64,WGS+pol(60,249,400000),latlon=with_proj('+proj=stere +lat_0=90 +lat_ts=60 +lon_0=249 +a=6378137 +b=6356752.314',30,225,4e5,4e5,15,12))
proj('Lambert, southwards and westwards: first point in the north-east',30,9,7,55,20,128,S6+lam(46.5,2,44,49,100000),latlon=(lambda t:(t[0].reshape(7,9)[:,::-1].ravel(),t[1].reshape(7,9)[:,::-1].ravel()))(with_proj('+proj=lcc +lat_0=46.5 +lon_0=2 +lat_1=44 +lat_2=49 +R=6371229',55,20,-1e5,-1e5,9,7)))
proj('GRIB 1 Lambert',3,15,12,30,-120,64,[('LoVInDegrees',-95),('Dx',100000),('Dy',100000),('Latin1InDegrees',25),('Latin2InDegrees',50)],1)
proj('GRIB 1 Lambert, oblate earth',3,15,12,30,-120,64,[('earthIsOblate',1),('LoVInDegrees',-95),('Dx',100000),('Dy',100000),('Latin1InDegrees',25),('Latin2InDegrees',50)],1)
proj('GRIB 1 Mercator',1,15,12,-10,160,64,[('latitudeOfLastGridPointInDegrees',12),('longitudeOfLastGridPointInDegrees',190),('LaDInDegrees',20),('DiInMetres',250000),('DjInMetres',250000)],1)
proj('GRIB 1 polar stereographic',5,15,12,20,-135,64,[('orientationOfTheGridInDegrees',-111),('Dx',500000),('Dy',500000)],1)
def tm(name,earth,proj4,LaR,LoR,m,XR,YR,x1,y1,d,nx,ny,scan):
    s=lambda v:v
    keys=earth+[('latitudeOfReferencePoint',int(LaR*1e6)),('longitudeOfReferencePoint',int(LoR*1e6)),('scaleFactorAtReferencePoint',m),('XR',int(XR*100)),('YR',int(YR*100)),('Di',int(d*100)),('Dj',int(d*100)),('X1',int(x1*100)),('Y1',int(y1*100)),('X2',int((x1+d*(nx-1))*100)),('Y2',int((y1+d*(ny-1))*100)),('scanningMode',scan)]
    h=make(12,[('Ni',nx),('Nj',ny)]+keys,nx*ny)
    p=pyproj.Proj(f'+proj=tmerc +lat_0={LaR} +lon_0={LoR} +k_0={np.float32(m):.12f} +x_0={XR} +y_0={YR} {proj4}')
    add(name,h,grid_of(p,(x1,y1),d,d if scan&64 else -d,nx,ny))
tm('transverse Mercator, Airy 1830',[('shapeOfTheEarth',9)],'+a=6377563.396 +b=6356256.909',49,-2,0.9996012717,400000,-100000,-239000,-185000,60000,20,22,64)
tm('transverse Mercator, WGS84, southwards',WGS,'+a=6378137 +b=6356752.314',0,9,0.9996,500000,0,-500000,6500000,100000,20,22,0)
tm('transverse Mercator, sphere',S6,'+R=6371229',10,100,1,0,0,-1500000,-1500000,200000,16,16,64)
# reduced_ll from shared file is large: make one
pl=[4,8,12,16,12,8,4]
h=ec.codes_grib_new_from_samples('reduced_gg_pl_32_grib2'); ec.codes_set(h,'gridType','reduced_ll') if False else None
ec.codes_set(h,'gridDefinitionTemplateNumber',0); ec.codes_set(h,'Nj',7)
import traceback
try:
    ec.codes_set_missing(h,'Ni')
    ec.codes_set_array(h,'pl',pl)
    for k,v in [('latitudeOfFirstGridPointInDegrees',90),('latitudeOfLastGridPointInDegrees',-90),('longitudeOfFirstGridPointInDegrees',0),('longitudeOfLastGridPointInDegrees',337.5),('jDirectionIncrementInDegrees',30),('numberOfDataPoints',64)]: ec.codes_set(h,k,v)
    ec.codes_set_values(h,np.zeros(64)); add('reduced latitude/longitude',h)
except Exception: traceback.print_exc()
# what the producer meant: a box of exact fractions, whose coded longitudes are rounded
import math
from fractions import Fraction as F
def exact(name,N,pl,i0,t1,t2,q,ed,cut):
    l=glats(N); lons=[];lats=[]
    for j,p in enumerate(pl):
        w=math.ceil(t1*p/360); e=math.floor(t2*p/360); n=min(p,max(0,e-w+1))
        lons+=[float(F(360*(w+i),p)) for i in range(n)]; lats+=[l[i0+j]]*n
    h=ec.codes_grib_new_from_samples('reduced_gg_pl_32_grib%d'%ed)
    ec.codes_set(h,'Nj',len(pl)); ec.codes_set(h,'N',N); ec.codes_set_array(h,'pl',list(pl))
    for k,v in [('latitudeOfFirstGridPoint',round(l[i0]*q)),('latitudeOfLastGridPoint',round(l[i0+len(pl)-1]*q)),('longitudeOfFirstGridPoint',cut(t1*q)),('longitudeOfLastGridPoint',cut(t2*q)%(360*q))]: ec.codes_set(h,k,v)
    if ed==2: ec.codes_set(h,'numberOfDataPoints',len(lons))
    ec.codes_set_values(h,np.zeros(len(lons))); add(name,h,(lats,lons)); vec[-1]['source']='exact'
exact('octahedral O24, area with last longitude cut short',24,octa(24)[5:25],5,F(360*3,112),F(360*50,112),10**6,2,math.floor)
exact('octahedral O24, area with first longitude rounded up',24,octa(24)[5:25],5,F(360*13,92),F(360*50,92),10**6,2,math.ceil)
exact('GRIB 1 octahedral O24, area with last longitude cut short',24,octa(24)[5:25],5,F(360*3,112),F(360*50,112),1000,1,math.floor)
exact('octahedral O24, area over 360',24,octa(24)[5:25],5,F(360*80,92),F(360*110,92),10**6,2,math.floor)
out='[\n'+',\n'.join(json.dumps(v,separators=(',',':')) for v in vec)+'\n]\n'
open(sys.argv[1],'w').write(out); print(len(vec),'vectors',len(out),'bytes')
