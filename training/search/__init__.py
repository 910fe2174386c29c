"""
Hyperparameter search: which settings of an algorithm dispatch better, and whether that is more than luck.

`spaces` says what is searched, `storage` how processes and machines share a study, `slots` who runs which trial,
`trial` trains and judges one setting, `study` runs the whole, `report` says what came out.
"""
